"""What adaptation changed in the model, drawn: weights, FiLM coefficients, learnt rates, the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from metalab import plots_adapt
from pages.common import chart, errors_in_place

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from metalab.changes import Changes


@st.fragment
@errors_in_place()
def what_changed(changes: Changes, classes: list[str], key: str) -> None:
    """Say in a sentence what changed, and show one figure of it at a time."""
    st.subheader(
        "What changed in the model",
        help="**Backbone**: the shared feature extractor. **Head**: the last layer, made for the task.",
    )
    st.markdown(changes.sentence)
    figures: dict[str, tuple[str, go.Figure]] = {}
    if changes.film:
        figures["FiLM coefficients"] = (
            "**FiLM**: each channel h of a block becomes (1 + gamma) · h + beta; zero everywhere would leave "
            "the backbone as it is.",
            plots_adapt.film_coefficients(changes),
        )
    if changes.layers:
        figures["Weights"] = (
            "Distance of each tensor from where the inner loop starts, over its size there "
            "(‖θ − θ₀‖ / ‖θ₀‖); rows `conv…`, `norm…` are the backbone, `head…` the head. Darker: further; "
            "blank: it starts at zero, so has no size to compare with.",
            plots_adapt.moved_weights(changes),
        )
    if changes.rates:
        figures["Learnt rates"] = (
            "The inner loop's step sizes, learnt in meta-training. Near zero: the tensor stays as it is in "
            "every task; below zero: its steps go uphill.",
            plots_adapt.learnt_rates(changes),
        )
    if changes.head is not None:
        figures["Head"] = (
            "What the task's classifier compares features with: a row per class. Classes whose rows are "
            "alike (cosine near 1) are the ones it can confuse.",
            plots_adapt.head_weights(changes, classes),
        )
    if changes.meta_trained:
        figures["Meta-training"] = (
            "Not this task's work but that of meta-training, the same for all tasks: how far each tensor of "
            "the backbone is from the pre-trained one.",
            plots_adapt.meta_trained(changes),
        )
    chosen = st.segmented_control(
        "Show", list(figures), default=next(iter(figures)), required=True, key=f"changed-{key}"
    )
    words, figure = figures[chosen]
    st.caption(words)
    chart(figure, f"changed-figure-{key}-{chosen}", f"{chosen}: {words}")
