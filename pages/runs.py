"""Runs: all of them in a table; the chosen one can be renamed, cloned, resumed, opened or deleted."""

from __future__ import annotations

import streamlit as st

from metalab.jobs import LocalBackend
from metalab.overview import STATES, Line, overview
from metalab.runs import RunStore
from pages.common import choose, download, errors_in_place
from pages.fields import IMAGES, fill_in
from pages.live import STAGES, stop_or_resume
from pages.ready import use_button
from pages.reporting import report
from pages.runtable import table

OPEN = {
    "Watch": ("run", "pages/train.py", ":material/show_chart:"),
    "Adapt": ("model", "pages/adapt.py", ":material/visibility:"),
    "Features": ("model", "pages/features.py", ":material/scatter_plot:"),
    "Compare": ("run", "pages/compare.py", ":material/leaderboard:"),
}
"""Label → (what the page is told, the page, icon)."""


def act(line: Line, store: RunStore, backend: LocalBackend) -> None:
    """Stop or resume, rename, clone, download, delete."""
    run, state = line.run, line.status.state
    with st.container(horizontal=True):
        stop_or_resume(run, line.status, backend)
        if state != "damaged":
            with st.popover("Rename", icon=":material/edit:"), st.form(f"rename-{run.id}", border=False):
                name = st.text_input("New name", run.name, key=f"name-{run.id}")
                if st.form_submit_button("Rename", type="primary"):
                    store.rename(run.id, name)
                    st.session_state["go-run"] = run.id  # chosen again, so that the box shows the new name
                    st.rerun()
            if st.button(
                "Clone with changes",
                icon=":material/content_copy:",
                key=f"clone-{run.id}",
                help="Fills in Train's form.",
            ):
                fill_in(run.config, f"{run.name}, changed")
                st.session_state["go-view"] = "New run"
                st.switch_page("pages/train.py")
        if run.checkpoint("best").is_file():
            download(
                st,
                "Download model",
                run.checkpoint("best").read_bytes,
                f"{run.id}.safetensors",
                icon=":material/download:",
            )
        if state == "done" and not line.problem:
            download(
                st,
                "Report",
                lambda: report(run),
                f"{run.id}.html",
                icon=":material/description:",
                help="Curves, results and features on one page that opens without a server, about 5 MB.",
            )
        if not line.status.active:
            with st.popover("Delete", icon=":material/delete:"):
                st.markdown(f"Delete **{line.name}** with all its files ({run.size() / 1e6:.1f} MB)?")
                if st.button("Delete for good", type="primary", key=f"delete-{run.id}"):
                    store.delete(run.id)
                    del st.session_state["run"], st.query_params["run"]  # nobody need be told that it is gone
                    st.rerun()


def details(line: Line) -> None:
    """Say how the run stands and what it was told to do."""
    status = line.status
    if line.problem or status.error:
        st.error(line.problem or status.error, icon=":material/error:")
    if status.active:
        st.info(status.message if status.state == "queued" else STAGES.get(status.stage, "Starting"))
    if status.state == "damaged":
        return
    if not line.problem and (evaluation := line.run.evaluation()):
        st.markdown(f"**{evaluation['verdict']}**")
    elsewhere = not line.problem and line.run.config.application != IMAGES
    with st.container(horizontal=True):
        for label, (key, page, icon) in OPEN.items():
            if elsewhere and key == "model":
                continue
            needs_model = key == "model" or label == "Compare"
            ready = line.run.checkpoint("best").is_file() or not needs_model
            if st.button(
                label,
                icon=icon,
                disabled=not ready,
                type="primary" if label == "Watch" else "secondary",
                key=f"{label}-{line.run.id}",
            ):
                st.session_state[f"go-{key}"], st.session_state["go-view"] = line.run.id, "Watch"
                st.switch_page(page)
        if elsewhere:
            use_button(line.run)
    with st.expander("Settings"), errors_in_place():
        st.json(line.run.config.model_dump(mode="json"))
    with st.expander("Log"):
        st.code(line.run.tail_log(60) or "The log is empty.", language=None, height=240)


st.title("Runs")
st.caption("A run is one meta-training with all that belongs to it: settings, history, model, evaluation.")
with errors_in_place():
    store = RunStore()
    backend = LocalBackend(store)
    lines = overview(store.list(), backend)
    if not lines:
        st.info("There is no run yet.", icon=":material/info:")
        st.page_link("pages/train.py", label="Train one", icon=":material/play_arrow:")
        st.stop()
    columns = st.columns([2, 3])
    text = columns[0].text_input("Filter", key="runs-filter", placeholder="name, method or task").lower()
    states = columns[1].multiselect("State", STATES, key="runs-states", placeholder="all")
    shown = [
        line
        for line in lines
        if text in f"{line.name} {line.method} {line.task}".lower() and (not states or line.state in states)
    ]
    table(shown)
    if shown:
        words = {line.run.id: f"{line.name} · {line.run.started}" for line in shown}
        chosen = choose("Run", words, "run", hidden=[line.run.id for line in lines])
        line = next(line for line in shown if line.run.id == chosen)
        with errors_in_place():
            act(line, store, backend)
        with errors_in_place():
            details(line)
    else:
        st.caption("No run fits the filter.")
