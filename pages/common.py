"""What several pages need: errors in place, choices that a link can name, charts, thumbnails."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from metalab.errors import MetalabError

if TYPE_CHECKING:
    from metalab.data.archives import Note

CHART: dict[str, Any] = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d", "toImage"]}
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


def chosen(label: str, options: list[str], name: str) -> str:
    """Let the user choose; the choice outlives a visit to another page."""
    kept = st.session_state.get(f"{name}-kept", options[0])
    found = st.segmented_control(label, options, default=kept, required=True, key=name)
    st.session_state[f"{name}-kept"] = found
    return found


def chart(figure: Any, key: str, alt: str, config: dict[str, Any] = CHART) -> None:
    """Show a figure over the whole width; ``alt`` says in words what it shows."""
    st.plotly_chart(figure, width="stretch", key=key, config=config, alt=alt)


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


def download(
    place: Any, label: str, data: Any, file_name: str, mime: str | None = None, **looks: Any
) -> None:
    """Offer ``data`` as a file in ``place``, a column or ``st``; a function is called when it is asked for.

    The page is never drawn anew by it: that could drop a file just made before the browser has fetched it.
    """
    place.download_button(label, data, file_name, mime, on_click="ignore", **looks)


def remarks(notes: Collection[Note], what: str) -> None:
    """Show what of the user's ``what`` was left out, repaired, or deserves a look, and where it stands."""
    if notes:
        st.warning(f"Some {what} deserve a look.", icon=":material/report:")
        st.dataframe(
            [{"Where": one.where, "What": one.what, "Done": one.action} for one in notes],
            hide_index=True,
            width="stretch",
            height=min(38 + 35 * len(notes), 250),
        )


def time_taken(seconds: float) -> str:
    """Return e.g. "359 ms" or "1.8 s"."""
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


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
