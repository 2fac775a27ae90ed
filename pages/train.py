"""Train: fill in a run, see what it will cost, start it, and watch it."""

from __future__ import annotations

import streamlit as st

from metalab.config import Config
from metalab.estimate import BackgroundEstimator
from metalab.jobs import LocalBackend
from metalab.runs import Run, RunStore
from metalab.supervisor import slots_here
from pages.common import (
    choose,
    data_settings,
    duration,
    errors_in_place,
    evaluation_table,
    picture,
    source_of,
    started,
)
from pages.forms import draft, keyed, run_form
from pages.live import live

NEW, WATCH = "New run", "Watch"


@st.cache_resource(show_spinner=False)
def estimator() -> BackgroundEstimator:
    """Return the server's one queue of dry runs; what it answers depends on the configuration alone."""
    return BackgroundEstimator()


@st.fragment(run_every=1.0)
@errors_in_place()
def waiting_for_estimate(config: Config) -> None:
    """Wait beside the form until the dry run is over."""
    if estimator().result(config) is not None:
        st.rerun()
    st.info(
        "Two training steps are being measured, in a process of their own …", icon=":material/hourglass_top:"
    )


def cost(config: Config) -> None:
    """Show the estimate of ``config``, or a button that asks for it."""
    if not estimator().asked(config):
        if st.button("Estimate time and memory", icon=":material/timer:", width="stretch"):
            estimator().submit(config)
            st.rerun()
        return
    found = estimator().result(config)
    if found is None:
        waiting_for_estimate(config)
        return
    parts = " · ".join(f"{stage} {duration(seconds)}" for stage, seconds in found.seconds.items())
    st.info(
        f"About **{duration(found.total)}** and **{found.memory / 1e9:.1f} GB** of memory: {parts}. Early "
        "stopping may end it sooner, other work on this machine later.",
        icon=":material/timer:",
    )


def launch(store: RunStore, backend: LocalBackend) -> None:
    """Fill in a configuration and start it."""
    left, right = st.columns([3, 2], gap="large")
    config = None
    with left, errors_in_place():
        config = run_form()
    with right, errors_in_place():
        st.markdown("##### 4 · Start")
        ready = False
        if config is not None:
            from metalab.training import preflight

            with errors_in_place():
                preflight(config, source_of(data_settings(config)))
                ready = True
            if ready:
                with errors_in_place():
                    cost(config)
        name = draft()["name"] = st.text_input(
            "Name of the run", placeholder="named by method and task", key=keyed("name", "")
        )
        slots, active = slots_here(), backend.list()
        if slots and len(active) >= slots:
            st.caption(
                f"{slots} at a time train here, and {len(active)} wait or train: this one will queue up."
            )
        start = st.button(
            "Start training",
            type="primary",
            icon=":material/play_arrow:",
            width="stretch",
            disabled=not ready,
        )
        st.page_link(
            "pages/tasks.py", label="See the tasks that it will learn from", icon=":material/category:"
        )
        if start:
            run = store.create(config, name or None)
            backend.submit(run)
            st.session_state["go-run"], st.session_state["go-view"] = run.id, WATCH
            st.rerun()


def buttons(run: Run, backend: LocalBackend) -> None:
    """Stop or resume, and go on."""
    status = backend.status(run)
    with st.container(horizontal=True):
        if status.active and st.button("Stop", icon=":material/stop:", help="Saves a checkpoint first."):
            backend.cancel(run)
            st.toast("Stopping after a checkpoint …")
        if status.state in ("stopped", "failed") and st.button(
            "Resume", icon=":material/play_arrow:", type="primary", help=run.resume_hint()
        ):
            backend.submit(run)
            st.rerun()
        if run.checkpoint("best").is_file() and st.button(
            "Adapt", icon=":material/visibility:", type="primary"
        ):
            st.session_state["go-model"] = run.id
            st.switch_page("pages/adapt.py")
        if st.button(
            "Manage", icon=":material/list:", help="Rename, clone, download or delete it on *Runs*."
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
            picture(view, f"run-{run.id}", stored)


def watch(store: RunStore, backend: LocalBackend) -> None:
    """Watch a run, with others beside it."""
    runs = {run.id: run for run in store.list()}
    if not runs:
        st.info("There is no run yet: fill in a *New run*.", icon=":material/info:")
        return
    words = {id: f"{run.name} · {started(run)}" for id, run in runs.items()}
    columns = st.columns(2)
    with columns[0]:
        run = runs[choose("Run", words, "run")]
    status = backend.status(run)
    beside = {id: text for id, text in words.items() if id != run.id and runs[id].status().state != "damaged"}
    st.session_state["beside"] = [id for id in st.session_state.get("beside", []) if id in beside]
    chosen = columns[1].multiselect(
        "Draw beside it", list(beside), format_func=beside.get, key="beside", max_selections=9
    )
    if status.state == "damaged":
        st.error(status.error, icon=":material/error:")
        st.page_link("pages/runs.py", label="Delete it on Runs", icon=":material/list:")
        return
    buttons(run, backend)
    every = 1.0 if status.active else None
    st.fragment(live, run_every=every)(run, [runs[id] for id in chosen], backend, status.active)
    if status.state == "done":
        results(run)


st.title("Train")
st.caption("A run is one meta-training with all that belongs to it. It goes on when you close this page.")
wanted = st.session_state.pop("go-view", None)
if wanted is None and "train-view" not in st.session_state:
    wanted = WATCH if "run" in st.query_params or "go-run" in st.session_state else NEW
if wanted is not None:
    st.session_state["train-view"] = wanted
view = st.segmented_control(
    "View", [NEW, WATCH], required=True, key="train-view", label_visibility="collapsed"
)
with errors_in_place():
    store = RunStore()
    (launch if view == NEW else watch)(store, LocalBackend(store))
