"""A run while it is watched: state, progress, curves and log, refreshed once a second and nothing else."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from metalab.applications import application
from metalab.errors import JobError
from metalab.history import History
from metalab.jobs import LocalBackend
from metalab.overview import still_to_come
from metalab.plots_runs import accuracy_curves, loss_curves
from metalab.runs import Run, Status
from pages.charts import steady_chart
from pages.common import duration, errors_in_place
from pages.cost import estimator

STAGES = {
    "pre-training": "Pre-training the backbone (step 2)",
    "meta-training": "Meta-training (step 3)",
    "evaluating": "Evaluating on held-out tasks (step 4)",
    "drawing": "Drawing features before and after",
}

CURVES = {"Loss": loss_curves, "Accuracy": accuracy_curves}

STYLE = """<style>
/* The usual size of a metric leaves room for three side by side. */
.st-key-facts [data-testid=stMetricValue] {font-size: 1.25rem}
</style>"""


def follows(run: Run, stage: str) -> str:
    """Say what follows after ``stage``, and how long it takes if the run's cost was estimated before."""
    words = still_to_come(stage, run.config)
    with suppress(JobError):
        known = estimator().result(run.config) if stage not in ("evaluating", "drawing") else None
        if known:
            words += f" (about {duration(known.seconds['evaluation'])})"
    return words


def stop_or_resume(run: Run, status: Status, backend: LocalBackend) -> None:
    """Show the button that stops ``run``, or the one that lets it go on.

    As every button that acts on a run it has a key with the run's id: when the run vanishes before the click
    arrives, the click must not go to the run that is chosen instead.
    """
    if status.active and st.button(
        "Stop", icon=":material/stop:", key=f"stop-{run.id}", help="Saves a checkpoint first."
    ):
        backend.cancel(run)
        st.toast("Stopping after a checkpoint …")
    if status.state in ("stopped", "failed") and st.button(
        "Resume",
        icon=":material/play_arrow:",
        type="primary",
        key=f"resume-{run.id}",
        help=run.resume_hint(),
    ):
        backend.submit(run)
        st.rerun()


def history_of(run: Run) -> History:
    """Return the history so far, reading only what is new since the last look of this session."""
    known = st.session_state.setdefault("histories", {})
    return known.setdefault(run.id, History()).refresh(run)


def headline(run: Run, status: Status, history: History) -> None:
    """Show state, progress, rate, time left, device and memory."""
    train, unit = history.of("train"), "examples" if status.stage == "pre-training" else "tasks"
    memory = next((event["memory"] for event in reversed(train) if event.get("memory")), None)
    device = run.device() or "–"
    trained = f"{train[-1]['step']:,}" if train else "–"
    facts = {
        "State": status.state,
        "Step of this stage"
        if status.active
        else "Meta-training steps": f"{status.step:,} / {status.steps:,}"
        if status.active and status.steps
        else trained,
        "Time, all attempts": duration(status.elapsed()),
        "Left in this stage": duration(status.eta if status.active else None),
        "Rate": f"{status.rate:,.1f} {unit}/s" if status.active and status.rate else "–",
        "Device, peak memory": f"{device}, {memory / 1e9:.1f} GB" if memory else device,
    }
    with st.container(horizontal=True, gap="medium", key="facts"):
        for label, value in facts.items():
            st.metric(label, value, width="content")
    if status.active:
        words = status.message if status.state == "queued" else STAGES.get(status.stage, "Starting")
        if status.stage == "evaluating":
            words += f" · {status.message} (tasks × methods)"
        if status.state == "running" and status.stage and (then := follows(run, status.stage)):
            words += f" · {then}"
        st.progress(min(1.0, status.step / status.steps) if status.steps else 0.0, words)
    if status.error:
        st.error(status.error, icon=":material/error:")


def curves(histories: dict[str, History], key: str, waiting: bool) -> None:
    """Show loss and accuracy of the runs by name; on a phone one below the other."""
    if not any(
        history.of(kind) for history in histories.values() for kind in ("pretrain", "train", "validation")
    ):
        st.caption("The curves appear with the first steps." if waiting else "No step was taken yet.")
        return
    for column, (name, draw) in zip(st.columns(2), CURVES.items(), strict=True):
        with column:
            steady_chart(draw(histories), f"{key}-{name}", f"{name} over the steps of {', '.join(histories)}")


def best_so_far(history: History, active: bool, metric: str) -> None:
    """Say which look at meta-validation was best; ``metric`` names what was measured."""
    looks = [event for event in history.of("validation") if event.get("accuracy") is not None]
    if looks:
        best = max(looks, key=lambda event: event["accuracy"])
        kept = f"The weights of step {best['step']:,} are kept: the best{' so far' if active else ''}."
        if best["step"] == 0:
            kept = "The weights of step 0 are kept: " + (
                "so far training has not improved them." if active else "training has not improved them."
            )
        st.caption(
            f"{kept} {metric[0].upper()}{metric[1:]} on meta-validation: **{best['accuracy']:.1%}** "
            f"± {best.get('interval') or 0:.1%}. "
            + (
                "Training tasks may have more classes (*Training way*), so their accuracy can lie lower."
                if metric == "accuracy"
                else ""
            )
        )


def live(run: Run, others: list[Run], backend: LocalBackend, was_active: bool) -> None:
    """The only part that refreshes while ``run`` is active; ``others`` are drawn beside it."""
    with st.container(key="live"), errors_in_place():
        st.html(STYLE)
        status = backend.status(run)
        if was_active and not status.active:
            st.rerun()
        history = history_of(run)
        headline(run, status, history)
        of = application(run.config.application)
        best_so_far(history, status.active, of.validated or of.metric)
        names = {run.id: run.name}
        for other in others:
            names[other.id] = other.name if other.name not in names.values() else f"{other.name} ({other.id})"
        histories = {names[one.id]: history_of(one) for one in (run, *others)}
        curves(histories, run.id, status.active)
        with st.expander("Log"):
            st.code(run.tail_log(60) or "The log is empty.", language=None, height=240)
