"""What a run will cost: time and memory, measured beside the form once it stands still."""

from __future__ import annotations

import time

import streamlit as st

from metalab.config import Config
from metalab.estimate import BackgroundEstimator
from pages.common import duration, errors_in_place

STILL = 2.0
"""Seconds without a change of the form after which its cost is measured unasked."""


@st.cache_resource(show_spinner=False)
def estimator() -> BackgroundEstimator:
    """Return the server's one queue of dry runs; what it answers depends on the configuration alone."""
    return BackgroundEstimator()


@st.fragment(run_every=1.0)
@errors_in_place()
def waiting_for_estimate(config: Config, since: float) -> None:
    """Wait below the form until the dry run is over; begin it once the form and other dry runs rest."""
    if estimator().ready(config):
        st.rerun()
    if not estimator().busy() and time.monotonic() - since >= STILL:
        estimator().submit(config)
    with st.container(key="live-cost"):
        st.info("Time and memory are being measured: two training steps …", icon=":material/hourglass_top:")


def cost(config: Config, idle: bool) -> None:
    """Show the estimate of ``config``; it comes unasked while nothing trains here (``idle``)."""
    asked = estimator().asked(config)
    if not estimator().ready(config) and (asked or idle):
        waiting_for_estimate(config, time.monotonic())
        return
    with errors_in_place():
        if found := estimator().result(config):
            parts = " · ".join(f"{stage} {duration(seconds)}" for stage, seconds in found.seconds.items())
            st.info(
                f"About **{duration(found.total)}** and **{found.memory / 1e9:.1f} GB** of memory.",
                icon=":material/timer:",
            )
            st.caption(f"{parts}. Early stopping may end it sooner, other work on this machine later.")
    label = "Estimate again" if asked else "Estimate time and memory"
    if st.button(label, icon=":material/timer:", width="stretch", help="A dry run of two training steps."):
        estimator().submit(config)
        st.rerun()
