"""What several pages need: errors in place, choices that a link can name, charts, pictures of features."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from metalab.errors import MetalabError

if TYPE_CHECKING:
    from metalab.embeddings import BackgroundEmbedder, Embedding, Method
    from metalab.inspection import TaskView

CHART: dict[str, Any] = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d", "toImage"]}
METHODS: dict[str, Method] = {"UMAP": "umap", "t-SNE": "tsne", "PCA": "pca"}
WORDS = {
    "task": "A **task** (= episode): a support set to learn from and a query set to judge by.",
    "support": "**Support set**: the few labelled examples that the model adapts to.",
    "query": "**Query set**: other examples of the same classes; accuracy is judged on them.",
    "way": "**N-way K-shot**: N classes with K support examples each.",
}


@contextmanager
def errors_in_place() -> Iterator[None]:
    """Show what is wrong, where and what to do, instead of a traceback."""
    try:
        yield
    except MetalabError as error:
        st.error(str(error), icon=":material/error:")


def gone(label: str, wanted: object) -> None:
    """Say that a link names something that is not there."""
    st.warning(
        f"{label} {wanted!r} is not here any more, or not yet: deleted, damaged, not trained, or from "
        "another server. Choose another one below.",
        icon=":material/link_off:",
    )


def choose(label: str, options: dict[str, str], name: str, hidden: Collection[str] = ()) -> str:
    """Let the user choose a key of ``options`` (key → words), kept in the page's address as ``name``.

    Another page sets ``st.session_state["go-" + name]`` before it switches here. That what was wanted is not
    there, or not any more, is said until the user chooses; of ``hidden`` keys, which are only not offered
    now, nothing is said.
    """
    state, lost = st.session_state, f"lost-{name}"
    wanted = state.pop(f"go-{name}", None)
    if name not in state:  # the page was just opened
        state.pop(lost, None)
        wanted = wanted or st.query_params.get(name)
    if wanted is None and state.get(name) not in options:
        wanted = state.pop(name, None)  # deleted meanwhile
    if wanted in options:
        state[name] = wanted
    missing, instead = state.pop(lost, (None, None))
    if wanted is not None:
        missing = None if wanted in options or wanted in hidden else wanted
    elif instead != state.get(name):
        missing = None  # the user has chosen
    if missing is not None:
        gone(label, missing)
    chosen = st.selectbox(label, list(options), format_func=options.__getitem__, key=name)
    state[lost] = (missing, chosen)
    st.query_params[name] = chosen
    return chosen


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


def chart(figure: Any, key: str, alt: str, config: dict[str, Any] = CHART) -> None:
    """Show a figure over the whole width; ``alt`` says in words what it shows."""
    st.plotly_chart(figure, width="stretch", key=key, config=config, alt=alt)


def view_key(view: TaskView) -> str:
    """Name a view by its content."""
    digest = hashlib.sha256()
    for stage in view.stages:
        digest.update(np.ascontiguousarray(stage.features).tobytes())
    return digest.hexdigest()[:16]


def evaluation_table(evaluation: dict[str, Any]) -> None:
    """Show the verdict and a bar a method, all baselines included."""
    from metalab import plots

    st.markdown(f"**{evaluation['verdict']}**")
    chart(plots.evaluation_bars(evaluation), "bars", f"Accuracy of every method. {evaluation['verdict']}")
    st.caption(
        f"{evaluation['rows'][0]['tasks']} held-out {evaluation['way']}-way {evaluation['shot']}-shot tasks, "
        "mean and 95 % interval; every row met the very same tasks."
    )


def thumbs(images: np.ndarray, colour: str, title: str) -> list[str]:
    """Return ``images`` (n, C, H, W) as framed HTML thumbnails."""
    return [thumb(image, colour, title) for image in images]


def thumb(image: np.ndarray, colour: str, title: str, dashed: bool = False) -> str:
    """Return ``image`` (C, H, W) as a framed HTML thumbnail; ``title`` is said of it."""
    from metalab.plots import thumbnail

    text, line = html.escape(title, quote=True), "dashed" if dashed else "solid"
    return f'<img src="{thumbnail(image)}" title="{text}" alt="{text}" style="border: 2px {line} {colour}">'


@st.fragment
@errors_in_place()
def picture(view: TaskView, key: str, stored: Embedding | None = None) -> None:
    """Show the features before and after adaptation; UMAP is ``stored``, or comes from the background."""
    from metalab import plots_features
    from metalab.inspection import separation
    from metalab.plots_separation import score_rows

    head = st.columns([2, 3], vertical_alignment="bottom")
    label = head[0].segmented_control(
        "Picture",
        list(METHODS),
        default="UMAP",
        required=True,
        key=f"{key}-method",
        help="One reducer is fitted on all stages together, so positions can be compared. UMAP and t-SNE "
        "keep neighbours together and take some seconds; PCA is linear and instant.",
    )
    method = METHODS[label]
    embedding = stored if stored is not None and stored.method == method else None
    if embedding is None:
        with head[1]:
            embedding = embedding_of(view, method, label)
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


def embedding_of(view: TaskView, method: Method, label: str, dimensions: int = 2) -> Embedding:
    """Return the picture of ``view``; while a slow one is computed say so, and return PCA meanwhile."""
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
