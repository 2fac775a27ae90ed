"""Where the pairs of texts of *Texts* come from: a table with examples to type over, or a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.common import remarks

if TYPE_CHECKING:
    from metalab.data.pairs import Pair
    from metalab.own_texts import TextTask

HERE, HELD, FILE = "Typed here", "Held-out texts", "A file"
SHOT = "Pairs that the model learns from: K of K-shot. The others judge it."
EXAMPLES = {
    "translation": (
        ("Save", "Stoor"),
        ("Search", "Soek"),
        ("Password", "Wagwoord"),
        ("Change password", "Verander wagwoord"),
        ("Log in again", "Meld weer aan"),
        ("Germany", "Duitsland"),
        ("South Africa", "Suid-Afrika"),
        ("Central Africa", "Sentraal-Afrika"),
        ("Hello %(name)s", "Hallo %(name)s"),
        ("Welcome, %(name)s", "Welkom, %(name)s"),
        ("Forgotten password", "Vergete wagwoord"),
        ("West Africa", "Wes-Afrika"),
        ("Search again", "Soek weer"),
    ),
    "summarisation": (
        (
            "The file is opened for reading and its rows are returned in order. Empty rows are left out, and "
            "columns without a name are numbered.",
            "Read the rows of a file.",
        ),
        (
            "The values are sorted in place, the smallest first. Equal values keep their order, so sorting "
            "by two keys can be done one after the other.",
            "Sort the values in place.",
        ),
        (
            "All connections of the pool are closed and no new ones are opened afterwards. Requests that "
            "wait for a connection fail.",
            "Close all connections of the pool.",
        ),
        (
            "The distance between two points is measured along the surface of the sphere, with the radius "
            "in kilometres. Points are given in degrees.",
            "Measure the distance between two points.",
        ),
        (
            "The graph is copied with all its nodes and edges. Attributes are not copied but shared with the "
            "original graph.",
            "Copy the graph.",
        ),
        (
            "The image is turned by an angle around its centre. Corners that were outside of it are filled "
            "with the colour of the background.",
            "Turn the image by an angle.",
        ),
    ),
}
"""Rows that stand in the table at first: Afrikaans, a language without training, and a style of its own."""
HELD_LABEL = {"translation": "Language", "summarisation": "Part of a package"}
HELD_ABOUT = {
    "translation": "No training has met this language; the English texts it has, in other languages.",
    "summarisation": "No training has met this package.",
}
SHOTS = {"translation": 10, "summarisation": 4}


def text_task(application: str, where: str) -> TextTask | None:
    """Let the user bring pairs from ``where``; return the task, None until there is enough."""
    return {FILE: _file, HELD: _held_out, HERE: _typed}[where](application)


@st.cache_resource(show_spinner="Reading texts of installed packages …", max_entries=2)
def held_out_texts(application: str) -> dict[str, list[Pair]]:
    """Return the pairs that no training has met; once, for all reruns. Raises :class:`DataError`."""
    from metalab.own_texts import held_out

    return held_out(application)


def _held_out(application: str) -> TextTask:
    groups = held_out_texts(application)
    row = st.columns([3, 1])
    name = row[0].selectbox(HELD_LABEL[application], list(groups), key=f"texts-held-{application}")
    number = row[1].number_input(
        "Task", 1, 999, 1, key=f"texts-task-{application}", help="Other numbers draw other texts."
    )
    st.caption(f"{len(groups[name])} pairs, as installed here. {HELD_ABOUT[application]}")
    task = _divided(application, groups[name], number)
    with st.expander(f"The {len(task.support)} examples"):
        st.dataframe(
            pd.DataFrame([(pair.source, pair.target) for pair in task.support], columns=["Read", "Write"]),
            hide_index=True,
            width="stretch",
            height=min(38 + 35 * len(task.support), 300),
        )
    return task


def _typed(application: str) -> TextTask | None:
    from metalab.data.pairs_in import WORDS, from_rows

    state, words = st.session_state, WORDS[application]
    table, base, typed = (f"texts-{part}-{application}" for part in ("table", "base", "typed"))
    if table not in state:  # the page was just opened: what was typed before is still there
        state[base] = state.get(typed, [list(row) for row in EXAMPLES[application]])
    edited = st.data_editor(
        pd.DataFrame(state[base], columns=list(words), dtype=str),
        num_rows="dynamic",
        hide_index=False,
        width="stretch",
        key=table,
        column_config={word: st.column_config.TextColumn(word.capitalize(), width="large") for word in words},
    )
    state[typed] = edited.fillna("").to_numpy().tolist()
    st.caption("The first rows teach, the others judge. Type over them, paste cells, add rows below.")
    rows = [
        (f"row {number}", {"source": row[0], "target": row[1]})
        for number, row in enumerate(state[typed])
        if any(part.strip() for part in row)
    ]
    if not rows:
        st.info(f"The table is empty: give a {words[0]} and its {words[1]}.", icon=":material/info:")
        return None
    found = from_rows(iter(rows), application, "table")
    remarks(found.notes, "rows")
    return _divided(application, found.only(), None)


def _file(application: str) -> TextTask | None:
    from metalab.data.pairs_in import WORDS, read_pairs

    endings = ["csv", "tsv", "json", "jsonl", *(["tmx", "po"] if application == "translation" else [])]
    upload = st.file_uploader(
        "A file of pairs",
        type=endings,
        key=f"texts-file-{application}",
        help=f"Columns `{WORDS[application][0]}` and `{WORDS[application][1]}`; `group` names a language or "
        "style where there are several.",
    )
    if upload is None:
        st.caption(f"{', '.join('.' + one for one in endings)}. Some pairs teach, the others judge.")
        return None
    found = read_pairs(upload.getvalue(), application, upload.name)
    group = None
    if len(found.groups) > 1:
        group = st.selectbox("Group", list(found.groups), key=f"texts-group-{application}")
    st.markdown(f"**{len(found.only(group))} pairs**")
    remarks(found.notes, "rows")
    seed = int(hashlib.sha256(upload.name.encode()).hexdigest()[:8], 16)
    return _divided(application, found.only(group), seed)


def _divided(application: str, pairs: Sequence, seed: int | None) -> TextTask:
    from metalab.own_texts import divide

    shot = st.number_input(
        "Examples", 1, 200, SHOTS[application], key=f"texts-shot-{application}", help=SHOT, width=160
    )
    task = divide(pairs, shot, seed)
    if task.left_out:
        st.caption(
            f"{len(task.query)} pairs judge; {task.left_out} more are not used here, to stay quick "
            f"(`python -m metalab evaluate --application {application} --data FILE` uses all)."
        )
    return task


__all__ = ["FILE", "HELD", "HERE", "text_task"]
