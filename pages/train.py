"""Train: watch a run live, stop or resume it, and read its results."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from metalab import plots
from metalab.jobs import LocalBackend
from metalab.runs import Run, RunStore, Status, effective
from pages.common import CHART, choose, duration, errors_in_place, evaluation_table, picture, started

STAGES = {
    "pre-training": "Pre-training the backbone (step 2)",
    "meta-training": "Meta-training (step 3)",
    "evaluating": "Evaluating on held-out tasks (step 4)",
    "drawing": "Drawing features before and after",
}


def history_of(run: Run) -> list[dict[str, Any]]:
    """Return the events so far, reading only what is new since the last look of this session."""
    known = st.session_state.setdefault("history", {})
    events, offset = known.get(run.id, ([], 0))
    new, offset = run.history_since(offset)
    known.clear()
    known[run.id] = (events + new, offset)
    return effective(events + new)


def headline(status: Status, history: list[dict[str, Any]]) -> None:
    """Show state, progress, rate and time left."""
    at = time.time() if status.active else (status.finished or status.updated or 0)
    columns = st.columns(4)
    columns[0].metric("State", status.state)
    if status.active:
        words = f"{status.step:,} / {status.steps:,}" if status.steps else "–"
        columns[1].metric("Step of this stage", words)
    else:
        trained = [event["step"] for event in history if event.get("kind") == "train"]
        columns[1].metric("Meta-training steps", f"{trained[-1]:,}" if trained else "–")
    columns[2].metric("Time of this attempt", duration(at - status.started if status.started else None))
    columns[3].metric("Left in this stage", duration(status.eta if status.active else None))
    if status.active:
        share = min(1.0, status.step / status.steps) if status.steps else 0.0
        unit = "images" if status.stage == "pre-training" else "tasks"
        rate = f" · {status.rate:,.1f} {unit}/s" if status.rate else ""
        words = status.message if status.state == "queued" else STAGES.get(status.stage, "Starting")
        if status.stage == "evaluating":
            words += f" · {status.message} (tasks × methods)"
        st.progress(share, f"{words}{rate}")
    if status.error:
        st.error(status.error, icon=":material/error:")


def live(run: Run, backend: LocalBackend, was_active: bool) -> None:
    """The only part that refreshes while the run is active."""
    with errors_in_place():
        status = backend.status(run)
        if was_active and not status.active:
            st.rerun()
        history = history_of(run)
        headline(status, history)
        looks = [event for event in history if event.get("kind") == "validation"]
        if looks:
            best = max(looks, key=lambda event: event["accuracy"])
            st.caption(
                f"Best on meta-validation{' so far' if status.active else ''}: **{best['accuracy']:.1%}** "
                f"± {best['interval']:.1%} at step {best['step']:,}. These are kept. Training tasks "
                "may have more classes (*Training way*), so their accuracy can lie lower."
            )
        if any(event.get("kind") in ("pretrain", "train", "validation") for event in history):
            st.plotly_chart(
                plots.learning_curves(history), width="stretch", key=f"curves-{run.id}", config=CHART
            )
        elif status.active:
            st.caption("The curves appear with the first steps.")


def buttons(run: Run, status: Status, backend: LocalBackend) -> None:
    """Stop, resume, delete, or go on to adapting."""
    columns = st.columns(4)
    if status.active and columns[0].button(
        "Stop", icon=":material/stop:", width="stretch", help="Saves first."
    ):
        backend.cancel(run)
        st.toast("Stopping after a checkpoint …")
    if status.state in ("stopped", "failed") and columns[0].button(
        "Resume", icon=":material/play_arrow:", width="stretch", type="primary", help=run.resume_hint()
    ):
        backend.submit(run)
        st.rerun()
    trained = run.checkpoint("best").is_file()
    if trained and columns[3].button(
        "Adapt and see", icon=":material/visibility:", width="stretch", type="primary"
    ):
        st.session_state["go-model"] = run.id
        st.switch_page("pages/adapt.py")
    if trained:
        columns[1].download_button(
            "Meta-learner (safetensors)",
            run.checkpoint("best").read_bytes,
            f"{run.id}.safetensors",
            icon=":material/download:",
            width="stretch",
        )
    if not status.active:
        with columns[2].popover("Delete", icon=":material/delete:", width="stretch"):
            st.markdown(f"Delete **{run.name}** with all its files?")
            if st.button("Delete for good", type="primary"):
                RunStore().delete(run.id)
                st.rerun()


def results(run: Run) -> None:
    """Show the evaluation table and the stored picture; outside the live part, so that zooms stay."""
    if run.has("evaluation.json"):
        from metalab.embeddings import Embedding
        from metalab.inspection import TaskView

        st.subheader("Does meta-learning help here?")
        evaluation_table(run.read_json("evaluation"))
        if run.has("view.json"):
            st.subheader("What adaptation changed")
            view = TaskView.from_arrays(run.read_arrays("view"), run.read_json("view"))
            stored = Embedding.from_arrays(run.read_arrays("embedding"), run.read_json("embedding"))
            picture(view, f"run-{run.id}", stored)


st.title("Train")
st.caption("A run is one meta-training with all that belongs to it. It goes on when you close this page.")
with errors_in_place():
    store = RunStore()
    backend = LocalBackend(store)
    runs = {run.id: run for run in store.list()}
    if not runs:
        st.info("There is no run yet.", icon=":material/info:")
        st.page_link("pages/setup.py", label="Set up a task", icon=":material/tune:")
        st.stop()
    run = runs[choose("Run", {id: f"{run.name} · {started(run)}" for id, run in runs.items()}, "run")]
    status = backend.status(run)
    if status.state == "damaged":
        st.error(status.error, icon=":material/error:")
    else:
        buttons(run, status, backend)
        st.fragment(live, run_every=1.0 if status.active else None)(run, backend, status.active)
        if status.state == "done":
            results(run)
        with st.expander("Settings and log"):
            columns = st.columns(2)
            columns[0].json(run.config.model_dump(mode="json"), expanded=False)
            columns[1].code(run.tail_log(60) or "The log is empty.", language=None, height=240)
