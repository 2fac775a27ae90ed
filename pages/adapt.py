"""Adapt: take a trained model to one task, step through its adaptation, keep the adapted model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.changed import what_changed
from pages.common import WORDS, download, errors_in_place
from pages.drawn import draw_a_task
from pages.drawnfeatures import embedder
from pages.models import trained
from pages.moments import moments
from pages.sheets import task_metrics
from pages.taskpick import DRAW, HELD_OUT, choose_model, choose_task

if TYPE_CHECKING:
    from metalab.shipped import Trained
    from metalab.tasks import Examples


@st.fragment
@errors_in_place()
def adapt_and_see(key: str, version: float) -> None:
    """Choose a task, adapt to it, and show everything."""
    from metalab.changes import changes

    model = trained(key, version)
    view = choose_task(key, version, draw=True)
    if view == DRAW:
        drawn = draw_a_task(model)
        if drawn is None:
            return
        support, classes = drawn
    elif isinstance(view, str):
        return
    else:
        task_metrics(view)
        if model.metalearner.transductive:
            st.caption("Transductive: each prediction here depends on all query examples together.")
        moments(view, key)
        support, classes = view.support_set().to(model.pretrained.input_mean.device), view.classes
    what_changed(changes(model.metalearner, model.pretrained, support, len(classes)), classes, key)
    buttons = st.columns(2)
    download(
        buttons[0],
        "Download the adapted model",
        lambda: adapted_model(model, support, classes),
        "adapted.safetensors",
        icon=":material/download:",
        width="stretch",
        help="Class names and preprocessing are inside: `python -m metalab predict --model "
        "adapted.safetensors IMAGE …`, or `metalab.load()` in Python.",
    )
    if st.session_state["where"] == HELD_OUT and buttons[1].button(
        "See the features of this task", icon=":material/scatter_plot:", width="stretch"
    ):
        st.session_state.update({"go-model": key, "go-task": st.session_state["number"]})
        st.switch_page("pages/features.py")


def adapted_model(model: Trained, support: Examples, classes: list[str]) -> bytes:
    """Return the file of ``model`` adapted to ``support``."""
    from metalab.adaptation import adapt_examples

    return adapt_examples(model.metalearner, support, classes).to_bytes()


st.title("Adapt")
st.caption(f"Give a trained model a few labelled examples and watch it adapt. {WORDS['task']}")
with errors_in_place():
    adapt_and_see(*choose_model())

embedder()
