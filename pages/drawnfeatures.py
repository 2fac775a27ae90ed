"""Pictures of features before and after adaptation, and the one process that computes them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.common import chart, errors_in_place

if TYPE_CHECKING:
    from metalab.embeddings import BackgroundEmbedder, Embedding, Method
    from metalab.inspection import TaskView

METHODS: dict[str, Method] = {"UMAP": "umap", "t-SNE": "tsne", "PCA": "pca"}


@st.cache_resource(show_spinner=False)
def embedder() -> BackgroundEmbedder:
    """Return the server's one process for UMAP, which warms up when it is made."""
    from metalab.embeddings import BackgroundEmbedder

    return BackgroundEmbedder()


@st.cache_data(show_spinner=False, max_entries=64)
def instant_embedding(key: str, _view: TaskView, dimensions: int = 2) -> Embedding:
    """Return the picture that needs no waiting: PCA."""
    from metalab.embeddings import embed

    return embed(_view.features, "pca", dimensions=dimensions)


def choose_method(key: str) -> str:
    """Let the user choose how features are drawn, one of :data:`METHODS`."""
    return st.segmented_control(
        "Picture",
        list(METHODS),
        default="UMAP",
        required=True,
        key=f"{key}-method",
        help="One reducer is fitted on all stages together, so positions can be compared. UMAP and t-SNE "
        "keep neighbours together and take some seconds; PCA is linear and instant.",
    )


def view_key(view: TaskView) -> str:
    """Name a view by its content."""
    digest = hashlib.sha256()
    for stage in view.stages:
        digest.update(np.ascontiguousarray(stage.features).tobytes())
    return digest.hexdigest()[:16]


@st.fragment
@errors_in_place()
def picture(view: TaskView, key: str, stored: Embedding | None = None) -> None:
    """Show the features before and after adaptation; UMAP is ``stored``, or comes from the background."""
    from metalab import plots_features
    from metalab.inspection import separation
    from metalab.plots_separation import score_rows

    head = st.columns([2, 3], vertical_alignment="bottom")
    with head[0]:
        label = choose_method(key)
    with head[1]:
        embedding = embedding_of(view, METHODS[label], label, stored=stored)
    tabs = st.tabs(["Before and after", "Morph", "Numbers"])
    with tabs[0]:
        words = f"{label} of the features before and after adaptation, coloured by class"
        chart(plots_features.before_after(view, embedding), f"{key}-ba", words)
    with tabs[1]:
        chart(plots_features.morph(view, embedding), f"{key}-morph", f"{words}, moving from one to the other")
    with tabs[2]:
        st.dataframe(
            score_rows(separation(view, embedding)),
            width="stretch",
            hide_index=True,
            column_config={
                "measure": "Measure",
                "before": st.column_config.NumberColumn("Before", format="%.3f"),
                "after": st.column_config.NumberColumn("After", format="%.3f"),
                "meaning": st.column_config.TextColumn("Meaning", width="large"),
            },
        )
    st.caption(
        "Each point is an example, its colour the class; hover to see it. Before: the pre-trained backbone. "
        "After: adapted to this task."
    )


def embedding_of(
    view: TaskView, method: Method, label: str, dimensions: int = 2, stored: Embedding | None = None
) -> Embedding:
    """Return the picture of ``view``: the one ``stored``, if it is by ``method``, else one that is computed.

    While a slow one is computed say so, and return PCA meanwhile.
    """
    if stored is not None and stored.method == method:
        return stored
    if method != "pca":
        key = (view_key(view), method, dimensions)
        embedder().submit(key, view.features, method, dimensions=dimensions)
        if (found := embedder().result(key)) is not None:
            return found
        _wait_for(key, label)
    return instant_embedding(view_key(view), view, dimensions)


@st.fragment(run_every=1.0)
@errors_in_place()
def _wait_for(key: tuple[str, str, int], label: str) -> None:
    if embedder().result(key) is not None:
        st.rerun()
    st.caption(f":material/hourglass_top: {label} is being computed; PCA is shown meanwhile.")
