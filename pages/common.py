"""What several pages show or need: cached models, the look of a task, errors in place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from metalab.config import Config
from metalab.errors import MetalabError

if TYPE_CHECKING:
    from metalab.embeddings import BackgroundEmbedder, Embedding
    from metalab.inspection import TaskView
    from metalab.shipped import Trained
    from metalab.tasks import TaskSource

CHART: dict[str, Any] = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d", "toImage"]}
WORDS = {
    "task": "A **task** (= episode) is one small problem: a support set to learn from, a query set to judge by.",
    "support": "**Support set**: the few labelled examples that the model adapts to.",
    "query": "**Query set**: other examples of the same classes, never adapted to; accuracy is judged on them.",
    "way": "**N-way K-shot**: N classes with K support examples each.",
}


@contextmanager
def errors_in_place() -> Iterator[None]:
    """Show what is wrong, where and what to do, instead of a traceback."""
    try:
        yield
    except MetalabError as error:
        st.error(str(error), icon=":material/error:")


@st.cache_resource(show_spinner="Loading the model …", max_entries=8)
def trained(which: str, version: float = 0.0) -> Trained:
    """Return a shipped meta-learner or that of a run; ``version`` is the time its file was written."""
    from metalab.shipped import load_trained

    return load_trained(which)


@st.cache_resource(show_spinner="Preparing the data …", max_entries=4)
def source_of(config_json: str, source: str | None = None, data: str | None = None) -> TaskSource:
    """Return the task source of a configuration, or held-out tasks of another source."""
    from metalab.data import create_source, create_test_source

    config = Config.from_json(config_json)
    return create_test_source(config, source, data) if source else create_source(config)


def data_settings(config: Config) -> str:
    """Return the part of ``config`` that decides about the data, as the key of :func:`source_of`."""
    names = ("source", "data", "episodes", "rotations", "image_size", "channels")
    return Config.create(**{name: getattr(config, name) for name in names}).to_json()


@st.cache_resource(show_spinner=False)
def embedder() -> BackgroundEmbedder:
    """Return the server's one process for UMAP, which warms up when it is made."""
    from metalab.embeddings import BackgroundEmbedder

    return BackgroundEmbedder()


@st.cache_data(show_spinner=False, max_entries=64)
def instant_embedding(key: str, _view: TaskView, method: str = "pca") -> Embedding:
    """Return a picture that needs no waiting."""
    from metalab.embeddings import embed

    return embed(_view.features, method)


def view_key(view: TaskView) -> str:
    """Name a view by its content."""
    digest = hashlib.sha256()
    for stage in view.stages:
        digest.update(np.ascontiguousarray(stage.features).tobytes())
    return digest.hexdigest()[:16]


def sheets(view: TaskView, stage_name: str) -> None:
    """Show the support and the query examples; frames tell which predictions are right."""
    from metalab.plots import RIGHT, WRONG, class_colours, contact_sheet

    stage, colours = view.stage(stage_name), class_colours(len(view.classes))
    support = np.flatnonzero(view.support)
    order = support[np.argsort(view.labels[support], kind="stable")]
    shot = max(1, int(np.bincount(view.labels[support]).max()))
    left, right = st.columns([1, 2], gap="medium")
    with left:
        st.markdown("**Support set** · to learn from", help=WORDS["support"])
        if len(view.classes) <= 6:
            for number, name in enumerate(view.classes):
                chosen = order[view.labels[order] == number]
                st.image(
                    contact_sheet(view.images[chosen], min(shot, 10), [colours[number]] * len(chosen)),
                    caption=name,
                )
        else:
            frames = [colours[label] for label in view.labels[order]]
            st.image(contact_sheet(view.images[order], shot * max(1, 10 // shot), frames))
    with right:
        good = view.right(stage)
        st.markdown(
            f"**Query set** · {int(good.sum())} of {len(good)} right "
            f":green[▢ right]  :red[▢ wrong]",
            help=WORDS["query"],
        )
        query = view.images[~view.support]
        columns = 15 if len(query) > 30 else 10
        st.image(contact_sheet(query, columns, [RIGHT if ok else WRONG for ok in good]))


def picture(view: TaskView, key: str, methods: tuple[str, ...] = ("PCA", "UMAP", "t-SNE")) -> None:
    """Show the features before and after adaptation; UMAP comes from a process in the background."""
    st.fragment(_picture)(view, key, methods)


def _picture(view: TaskView, key: str, methods: tuple[str, ...]) -> None:
    from metalab import plots
    from metalab.inspection import separation

    content = view_key(view)
    head = st.columns([2, 3], vertical_alignment="bottom")
    method = head[0].segmented_control(
        "Picture",
        methods,
        default=methods[0],
        key=f"{key}-method",
        help="One reducer is fitted on all stages together, so positions can be compared. "
        "PCA is linear and instant; UMAP and t-SNE keep neighbours together and take some seconds.",
    )
    name = {"UMAP": "umap", "t-SNE": "tsne"}.get(method or "", "pca")
    embedding: Embedding | None = None
    if name != "pca":
        embedder().submit((content, name), view.features, name)
        embedding = embedder().result((content, name))
        if embedding is None:
            st.fragment(_wait_for, run_every=1.0)((content, name), method)
    if embedding is None:
        embedding = instant_embedding(content, view)
    tabs = st.tabs(["Before and after", "Morph", "Numbers"])
    with tabs[0]:
        st.plotly_chart(plots.before_after(view, embedding), width="stretch", key=f"{key}-ba", config=CHART)
    with tabs[1]:
        st.plotly_chart(plots.morph(view, embedding), width="stretch", key=f"{key}-morph", config=CHART)
    with tabs[2]:
        st.dataframe(
            plots.score_rows(separation(view, embedding)),
            width="stretch",
            hide_index=True,
            column_config={
                "measure": "Measure",
                "before": st.column_config.NumberColumn("Before", format="%.3f"),
                "after": st.column_config.NumberColumn("After", format="%.3f"),
                "meaning": st.column_config.TextColumn("Meaning", width="large"),
            },
        )


def _wait_for(key: tuple[str, str], method: str) -> None:
    with errors_in_place():
        if embedder().result(key) is not None:
            st.rerun()
    st.caption(f":material/hourglass_top: {method} is being computed; PCA meanwhile.")


def duration(seconds: float | None) -> str:
    """Return e.g. "3 min 20 s"."""
    if seconds is None:
        return "–"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
