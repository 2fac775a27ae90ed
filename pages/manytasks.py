"""How far classes separate before and after adaptation, over many tasks, measured in the background."""

from __future__ import annotations

import streamlit as st

from metalab.plots_separation import separation_change, separation_rows
from metalab.separations import Order, look, start
from pages.common import chart, errors_in_place
from pages.models import data_settings, trained
from pages.taskpick import DIGITS


@st.fragment
@errors_in_place()
def many_tasks(key: str, version: float) -> None:
    """Measure separation over many tasks in the background, and show it."""
    st.subheader("Over many tasks", help="The same held-out tasks for every model, so results compare.")
    state = st.session_state
    digits = state["where"] == DIGITS
    way, shot = state[f"way-{state['where']}"], state["shot"]
    row = st.columns([2, 2, 3], vertical_alignment="bottom")
    tasks = row[0].segmented_control("Tasks", [50, 100, 200], default=100, required=True, key="tasks")
    order = Order(
        key,
        version,
        data_settings(trained(key, version).config),
        "digits" if digits else None,
        way,
        shot,
        15 if way <= 10 else 5,
        tasks,
    )
    seen = look(order)
    if seen.state == "failed":
        st.error(seen.message, icon=":material/error:")
    if seen.state in ("none", "failed"):
        if row[1].button("Measure", icon=":material/straighten:", type="primary", width="stretch"):
            start(order)
            st.rerun(scope="fragment")
        st.caption(
            f"How far do classes lie apart before and after, over {tasks} {way}-way {shot}-shot tasks?"
        )
    elif seen.state == "running":
        progress(order)
    else:
        chart(separation_change(seen.result), "separation", "Separation of classes before and after")
        st.dataframe(separation_rows(seen.result), width="stretch", hide_index=True)
        st.caption(
            f"{tasks} held-out {way}-way {shot}-shot tasks, mean ± half its 95 % interval; the difference is "
            "paired by task. **Silhouette** (-1…1): how far apart the classes lie. **k-NN accuracy**: share "
            "of examples whose neighbours are of the same class."
        )


@st.fragment(run_every=1.0)
@errors_in_place()
def progress(order: Order) -> None:
    """Show how far the measuring is, once a second."""
    seen = look(order)
    if seen.state != "running":
        st.rerun()
    st.progress(seen.share, seen.message)
