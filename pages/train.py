"""Train: fill in a run, see what it will cost, start it, and watch it."""

from __future__ import annotations

import streamlit as st

from metalab.jobs import LocalBackend
from metalab.runs import RunStore
from metalab.supervisor import slots_here
from pages.common import errors_in_place
from pages.cost import cost
from pages.fields import draft, keyed, open_form
from pages.forms import run_form
from pages.models import data_settings, source_of
from pages.watch import watch

NEW, WATCH = "New run", "Watch"


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
        if ready:
            cost(config, idle=not active)
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
# A place for each view, so that nothing of the other stays behind, greyed, until this one is complete.
places = {name: st.container() if name == view else st.empty() for name in (NEW, WATCH)}
with places[view], errors_in_place():
    store = RunStore()
    (launch if view == NEW else watch)(store, LocalBackend(store))
