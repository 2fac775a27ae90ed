"""Questions: a few answered ones teach what is asked for; the same is then found in other passages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.answershow import answered_cards, legend, methods_table, query_cards
from pages.answersource import FILE, HERE, SAMPLE, STORIES, answer_task
from pages.answersout import ask, take_away
from pages.common import chosen, errors_in_place, time_taken
from pages.drawnfeatures import embedder
from pages.models import trained
from pages.placefeatures import TOKENS, place_features
from pages.ready import choose_model

if TYPE_CHECKING:
    from metalab.inspection import TaskView
    from metalab.own_answers import AnswerTask, Judged

LIMITS = (
    "The reader has learnt on documentation of Python packages, in English: expect less of other texts. It "
    "finds a short part of the passage, at most 40 words and signs, and **writes nothing**: what does not "
    "stand there in one piece, or must be counted, compared, translated or concluded, is out of reach. All "
    "questions of a task must ask for the same *kind* of thing. Passages longer than the reader's window "
    "(about 190 words and signs) are read in overlapping windows, each by itself."
)


@st.cache_resource(show_spinner=False, max_entries=16)
def judged(key: str, which: str, version: float, _task: AnswerTask) -> Judged:
    """Adapt to a task and measure every method on it; once, for all reruns. Raises :class:`DataError`."""
    from metalab.own_answers import judge

    model = trained(which, version)
    return judge(model.metalearner, model.pretrained, _task)


@st.cache_resource(show_spinner="Looking at features …", max_entries=8)
def view_of(key: str, which: str, version: float, _held: Judged) -> TaskView:
    """Look at tokens before and after adaptation."""
    return _held.view()


@st.fragment
@errors_in_place()
def results(key: str, held: Judged) -> None:
    """Show what is found in the query passages and in new ones; offer to take it away."""
    st.subheader("3 · What it finds", help="**Query**: other questions, which the model did not learn from.")
    baselines = {row.method: row.label for row in held.rows if row.kind == "baseline"}
    before = next(iter(baselines), "")
    if baselines:
        before = st.selectbox(
            "Compare with",
            list(baselines),
            format_func=baselines.__getitem__,
            key="answers-before",
            help="**Un-adapted**: the pre-trained reader, which nobody has told what is asked for, so it "
            "guesses. The others learn from the same examples, without meta-learning.",
        )
    metrics(held, before)
    if held.rows:
        legend()
        query_cards(held, before)
        st.markdown("**All methods on these questions**")
        methods_table(held)
    else:
        st.info(
            "Every question teaches, none is left to judge by: lower *Examples*, or add rows. The model is "
            "ready all the same.",
            icon=":material/info:",
        )
    st.subheader("4 · Try it")
    ask(key, held)
    st.subheader("5 · Take it away")
    take_away(held)


def metrics(held: Judged, before: str) -> None:
    """Show how well answers are found, if that is known, and how long adapting took."""
    with st.container(horizontal=True, gap="medium"):  # on a phone two side by side
        if held.rows:
            first, last = (round(100 * row.f1) for row in (held.row(before), held.rows[0]))
            st.metric(
                "Token F1 after",
                f"{last}%",
                f"{last - first:+} points" if last != first else None,
                help="Overlap of the words found with those of the answer; 100 % is the very answer. The "
                "difference is to *before*, on the same questions.",
                width="content",
            )
            st.metric("Token F1 before", f"{first}%", help="What is chosen above.", width="content")
            st.metric("Exactly right", f"{held.rows[0].exact:.0%}", width="content")
        st.metric(
            "Time to adapt",
            time_taken(held.seconds),
            help="Reading the examples, once.",
            width="content",
        )


st.title("Questions")
st.caption(
    "Ask for one kind of thing, show a few answers, and the model finds the same kind of thing in other "
    "passages, within seconds. Nothing leaves this machine."
)
with errors_in_place():
    where = chosen("Examples from", [SAMPLE, STORIES, FILE, HERE], "answers-where")
    model = choose_model("question-answering")
    st.subheader("1 · Answered questions")
    task = answer_task(where) if model is not None else None
    if task is not None:
        from metalab.own_answers import task_key

        st.subheader(
            "2 · What it learns from",
            help="**Support**: the few answered questions that the model adapts to. **Shot**: how many.",
        )
        answered_cards(task.support, "support")
        key = task_key(task)
        with st.spinner("Adapting, and measuring every baseline …"):
            held = judged(key, *model, task)
        results(key, held)
        st.subheader("6 · Features", help="What the model makes of the words of passages, drawn as points.")
        measure = "token F1" if any(one.end for one in task.query) else None
        place_features(view_of(key, *model, held), f"tokens-{key}", measure, TOKENS)
with st.expander("What it can and cannot do", icon=":material/info:"):
    st.markdown(LIMITS)

embedder()
