"""The curves of the Compare page: measured in the background, shown as they grow."""

from __future__ import annotations

import streamlit as st

from metalab import curves, plots_compare
from metalab.comparison import models
from pages.charts import steady_chart
from pages.common import errors_in_place

TASKS = (30, 60, 150, 600)


@st.fragment
@errors_in_place()
def sweeps() -> None:
    """Let the user choose models, and show their curves; what is not known yet is measured when asked."""
    found = models()
    if not found:
        st.caption("There is no trained model yet.")
        return
    row = st.columns([4, 1, 1], vertical_alignment="bottom")
    kept = [key for key in st.session_state.get("curves-of", list(found)[:1]) if key in found]
    st.session_state["curves-of"] = kept  # a run may be deleted meanwhile
    chosen = row[0].multiselect(
        "Models", list(found), format_func=lambda key: found[key][0], key="curves-of", max_selections=5
    )
    tasks = row[1].selectbox(
        "Tasks a point", TASKS, 1, key="curves-tasks", help="More tasks: narrower intervals, longer wait."
    )
    questions = [curves.Question(key, found[key][1], tasks=tasks) for key in chosen]
    todo = [question for question in questions if not curves.finished(question)]
    asked = st.session_state.setdefault("curves-asked", set())
    label = "Measure" if todo or not questions else "Measure again"
    if row[2].button(label, icon=":material/ssid_chart:", width="stretch", disabled=not questions):
        curves.forget([] if todo else questions)
        asked.update(question.key for question in questions)
        st.rerun(scope="fragment")
    # What another session or an earlier visit has begun goes on as well.
    waiting = [question for question in todo if question.key in asked or curves.answer(question)]
    st.fragment(show, run_every=1.0 if waiting else None)(
        {found[question.which][0]: question for question in questions}, waiting
    )
    st.caption(
        "**Shot**: support examples per class. **Inner steps**: gradient steps on the support set; only some "
        "methods take them. Tasks of meta-validation, so that you may choose by these curves; mean and 95 % "
        "interval. Dashed: frozen features without meta-training."
    )


@errors_in_place()
def show(questions: dict[str, curves.Question], waiting: list[curves.Question]) -> None:
    """Draw what is known; the only part that refreshes while something is measured."""
    coming = curves.ask(waiting) if waiting else False
    answers = {name: known for name, question in questions.items() if (known := curves.answer(question))}
    if waiting:
        share = sum((curves.answer(question) or {"done": 0})["done"] for question in waiting) / len(waiting)
        st.progress(min(share, 1.0), f"Measuring in the background … {share:.0%}")
        if not coming:
            st.rerun()
    for name, known in answers.items():
        if known["error"]:
            st.error(f"{name}: {known['error']}", icon=":material/error:")
    if not any(known["shots"] for known in answers.values()):
        if not waiting:
            st.caption("Not measured yet: a minute or two a model. You can go on meanwhile.")
        return
    columns = st.columns(2)
    with columns[0]:
        steady_chart(
            plots_compare.sweep(answers, "shots"), "curve-shots", "Accuracy by shots, a line a method"
        )
    with columns[1]:
        if any(known["steps"] for known in answers.values()):
            steady_chart(
                plots_compare.sweep(answers, "steps"),
                "curve-steps",
                "Accuracy by inner steps, a line a model",
            )
        else:
            st.caption("Accuracy by inner steps appears for methods that take them, such as MAML.")
