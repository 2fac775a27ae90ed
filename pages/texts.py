"""Texts: a few translations, or summaries, teach a language or a style; new texts are then written in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.common import chosen, download, errors_in_place, time_taken
from pages.drawnfeatures import embedder
from pages.models import trained
from pages.placefeatures import TEXTS, place_features
from pages.ready import choose_model
from pages.textshow import new_cards, query_cards
from pages.textsource import FILE, HELD, HERE, text_task

if TYPE_CHECKING:
    from metalab.inspection import TaskView
    from metalab.own_texts import JudgedTexts, TextTask

WHAT = {"Translate": "translation", "Sum up": "summarisation"}
LIMITS = (
    "The writers are small and have learnt on **short interface phrases and names** (translation, from "
    "English) and on **documentation of Python packages** (summaries): no prose. What was not learnt and "
    "stands in no example is guessed, often wrongly: read what is written before you use it."
)


@st.cache_resource(show_spinner=False, max_entries=16)
def judged(key: str, which: str, version: float, _task: TextTask) -> JudgedTexts:
    """Adapt to a task and write its query texts; once, for all reruns. Raises :class:`DataError`."""
    from metalab.own_texts import judge

    return judge(trained(which, version).metalearner, _task)


@st.cache_resource(show_spinner="Looking at features …", max_entries=8)
def view_of(key: str, which: str, version: float, _held: JudgedTexts) -> TaskView:
    """Look at texts before and after adaptation."""
    return _held.view()


def metrics(application: str, held: JudgedTexts) -> None:
    """Show how good the texts are, if that is known, and how long adapting took."""
    from metalab.applications import application as find
    from metalab.metalearners.base import score

    of = find(application)
    name = "Probability of the truth" if of.judge is score else of.metric
    with st.container(horizontal=True, gap="medium"):
        if held.scores is not None:
            first, last = (round(100 * one) for one in held.scores)
            st.metric(
                f"{name} after",
                f"{last}%",
                f"{last - first:+} points" if last != first else None,
                width="content",
            )
            st.metric(f"{name} before", f"{first}%", help="Without any example.", width="content")
        st.metric("Time to adapt", time_taken(held.seconds), width="content")


@st.fragment
@errors_in_place()
def ask(key: str, held: JudgedTexts) -> None:
    """Let the user give a new text, and show what is written for it."""
    with st.form(f"write-{key}"):
        text = st.text_area("A new text", height=100, key=f"texts-new-{key}")
        asked = st.form_submit_button("Write", icon=":material/edit:", type="primary")
    if text.strip():
        after = held.model.predict([text])[0]
        new_cards(held.plain.predict([text])[0], after, held.model.explain(after))
    elif asked:
        st.info("Give a text first.", icon=":material/info:")


def take_away(held: JudgedTexts) -> None:
    """Offer the model, what it wrote, and a script that uses it."""
    from metalab.own_texts import SCRIPT, results_json

    row = st.columns(3)
    download(row[0], "Download the model", held.model.to_bytes, "model.safetensors", width="stretch")
    download(
        row[1],
        "Download the texts",
        lambda: results_json(held.task.query, held.after),
        "texts.json",
        width="stretch",
        disabled=not held.after,
    )
    download(row[2], "Download a script", SCRIPT, "write.py", width="stretch")


st.title("Texts")
st.caption(
    "Show a few pairs of texts, and the model translates into their language, or sums up in their style: "
    "short interface phrases and documentation, no prose. Nothing leaves this machine."
)
with errors_in_place():
    application = WHAT[chosen("What to do", list(WHAT), "texts-what")]
    model = choose_model(application)
    st.subheader("1 · Examples")
    where = chosen("Examples from", [HERE, HELD, FILE], "texts-where")
    task = text_task(application, where) if model is not None else None
    if task is not None:
        from metalab.own_texts import task_key
        from metalab.written_model import cut_notes

        for note in cut_notes(trained(*model).metalearner, task.support):
            st.warning(str(note), icon=":material/content_cut:")
        key = f"{application}-{task_key(task)}"
        with st.spinner("Adapting …"):
            held = judged(key, *model, task)
        st.subheader("2 · What it writes", help="**Query**: other texts, which it did not learn from.")
        metrics(application, held)
        if held.after:
            query_cards(held)
        else:
            st.info("Every pair teaches, none is left to judge by: lower *Examples*.", icon=":material/info:")
        st.subheader("3 · Try a new text")
        ask(key, held)
        st.subheader("4 · Take it away")
        take_away(held)
        st.subheader("5 · Features", help="What the model makes of whole texts, drawn as points.")
        measure = "probability of the truth" if task.query else None
        place_features(view_of(key, *model, held), f"texts-{key}", measure, TEXTS)
with st.expander("What it can and cannot do", icon=":material/info:"):
    st.markdown(LIMITS)

embedder()
