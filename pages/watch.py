"""Watch a run: choose it, act on it, see it live with others beside it, and read its results."""

from __future__ import annotations

import streamlit as st

from metalab.applications import application
from metalab.errors import RunError
from metalab.jobs import LocalBackend
from metalab.runs import Run, RunStore, Status
from pages.common import choose, evaluation_table
from pages.drawnfeatures import picture
from pages.fields import IMAGES
from pages.live import live, stop_or_resume
from pages.placefeatures import EXPLAINED, PLACES, place_features
from pages.ready import use_button


def buttons(run: Run, backend: LocalBackend) -> None:
    """Stop or resume, and go on."""
    status = backend.status(run)
    with st.container(horizontal=True):
        stop_or_resume(run, status, backend)
        use_button(run)
        if st.button(
            "Manage",
            icon=":material/list:",
            key=f"manage-{run.id}",
            help="Rename, clone, download or delete it on *Runs*.",
        ):
            st.session_state["go-run"] = run.id
            st.switch_page("pages/runs.py")


def results(run: Run) -> None:
    """Show the evaluation table and the stored picture; outside the live part, so that zooms stay."""
    if evaluation := run.evaluation():
        from metalab.embeddings import Embedding
        from metalab.inspection import TaskView

        st.subheader("Does meta-learning help here?")
        evaluation_table(evaluation)
        if run.has("view.json"):
            st.subheader("What adaptation changed")
            view = TaskView.from_arrays(run.read_arrays("view"), run.read_json("view"))
            stored = Embedding.from_arrays(run.read_arrays("embedding"), run.read_json("embedding"))
            if run.config.application == IMAGES:
                picture(view, f"run-{run.id}", stored)
            else:
                of = application(run.config.application)
                explained = EXPLAINED.get(of.name, PLACES)
                place_features(view, f"run-{run.id}", of.metric, explained, stored)


def damage(run: Run, status: Status) -> str:
    """Say what keeps ``run`` from being watched, nothing if it can be."""
    try:
        _ = run.config
    except RunError as error:
        return str(error)
    return (status.error or "") if status.state == "damaged" else ""


def watch(store: RunStore, backend: LocalBackend) -> None:
    """Watch a run, with others beside it."""
    runs = {run.id: run for run in store.list()}
    if not runs:
        st.info("There is no run yet: fill in a *New run*.", icon=":material/info:")
        return
    words = {id: f"{run.name} · {run.started}" for id, run in runs.items()}
    columns = st.columns(2)
    with columns[0]:
        run = runs[choose("Run", words, "run")]
    status = backend.status(run)
    beside = {id: text for id, text in words.items() if id != run.id and runs[id].status().state != "damaged"}
    st.session_state["beside"] = [id for id in st.session_state.get("beside", []) if id in beside]
    chosen = columns[1].multiselect(
        "Draw beside it", list(beside), format_func=beside.get, key="beside", max_selections=9
    )
    if problem := damage(run, status):
        st.error(problem, icon=":material/error:")
        st.page_link("pages/runs.py", label="Delete it on Runs", icon=":material/list:")
        return
    buttons(run, backend)
    every = 1.0 if status.active else None
    st.fragment(live, run_every=every)(run, [runs[id] for id in chosen], backend, status.active)
    if status.state == "done":
        results(run)
