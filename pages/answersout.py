"""Asking an adapted model about a new passage, and taking model and results away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.answershow import found_card
from pages.common import download, errors_in_place

if TYPE_CHECKING:
    from metalab.own_answers import Judged


def ask(key: str, held: Judged) -> None:
    """Let the user paste a passage and a question, and show the answer."""
    example = held.task.support[0]
    with st.form(f"ask-{key}"):
        passage = st.text_area(
            "A new passage", height=160, key=f"ask-passage-{key}", placeholder=example.passage[:400]
        )
        question = st.text_input(
            "Question",
            value=example.question,
            key=f"ask-question-{key}",
            help="Ask as the examples do: the words that they share stand for the kind of thing.",
        )
        asked = st.form_submit_button("Find the answer", icon=":material/search:", type="primary")
    if not passage.strip():
        if asked:
            st.info("Paste a passage first.", icon=":material/info:")
        return
    from metalab.data.rows import plain_lines

    with errors_in_place():
        found = held.model.predict([passage], [question])[0]
        found_card(plain_lines(passage), question, found)
        if not found.text:
            st.caption("Nothing in the passage is likelier to be the answer than that there is none.")


def take_away(held: Judged) -> None:
    """Offer the model, what it found, and a script that uses it."""
    from metalab.own_answers import SCRIPT, results_json

    row = st.columns(3)
    download(
        row[0],
        "Download the model",
        held.model.to_bytes,
        "model.safetensors",
        icon=":material/download:",
        width="stretch",
        help="One safetensors file: `metalab.load` reads it.",
    )
    download(
        row[1],
        "Download the results",
        lambda: results_json(held.task.query, held.rows[0].found),
        "results.json",
        icon=":material/data_object:",
        width="stretch",
        disabled=not held.rows,
        help="JSON: each query question with the answer found, where it stands, and how sure that is.",
    )
    download(
        row[2],
        "Download a script",
        SCRIPT,
        "answer.py",
        icon=":material/code:",
        width="stretch",
        help="Loads the model and answers a question about text files.",
    )
    with st.expander("The script", icon=":material/code:"):
        st.code(SCRIPT, language="python")
