"""A run that ends says so, whichever page is open."""

from __future__ import annotations

import contextlib

import streamlit as st

from metalab.errors import MetalabError
from metalab.jobs import LocalBackend, Watch

ICONS = {"done": ":material/check_circle:", "failed": ":material/error:", "stopped": ":material/stop_circle:"}


@st.fragment(run_every=3.0)
def announce() -> None:
    """Tell this session of each run that has ended since its last look."""
    with contextlib.suppress(MetalabError):  # the page in front says what is wrong with the store
        if "watch" not in st.session_state:
            st.session_state["watch"] = Watch(LocalBackend())
        for run, status in st.session_state["watch"].ended():
            words = (
                f"**{run.name}** is {status.state}."
                if status.state != "failed"
                else f"**{run.name}** failed."
            )
            result = run.evaluation() if status.state == "done" else None
            detail = status.error if status.state == "failed" else result["verdict"] if result else ""
            st.toast(f"{words} {detail}", icon=ICONS[status.state], duration="long")
