"""Train: fill in a run, see what it will cost, start it, and watch it."""

from __future__ import annotations

import streamlit as st

from metalab.config import Config
from metalab.jobs import LocalBackend
from metalab.runs import RunStore
from metalab.supervisor import slots_here
from pages.common import data_settings, duration, errors_in_place, source_of
from pages.forms import draft, keyed, open_form, run_form
from pages.live import estimator
from pages.watch import watch

NEW, WATCH = "New run", "Watch"


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
    """Show the estimate of ``config``, and a button that asks for it."""
    asked = estimator().asked(config)
    found = estimator().result(config) if asked else None
    if asked and found is None:
        waiting_for_estimate(config)
        return
    if found:
        parts = " · ".join(f"{stage} {duration(seconds)}" for stage, seconds in found.seconds.items())
        st.info(
            f"About **{duration(found.total)}** and **{found.memory / 1e9:.1f} GB** of memory.",
            icon=":material/timer:",
        )
        st.caption(f"{parts}. Early stopping may end it sooner, other work on this machine later.")
    label = "Estimate again" if found else "Estimate time and memory"
    if st.button(label, icon=":material/timer:", width="stretch", help="A dry run of two training steps."):
        estimator().submit(config)
        st.rerun()


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


open_form("train")
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
