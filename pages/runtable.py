"""All runs as a table."""

from __future__ import annotations

import time

import streamlit as st

from metalab.overview import Line
from pages.common import duration


def table(lines: list[Line]) -> None:
    """Show ``lines``; a click on a row chooses the run."""
    rows = [
        {
            "Run": line.name,
            "State": line.state,
            "Method": line.method,
            "Task": line.task,
            "Held-out accuracy": None if line.accuracy is None else 100 * line.accuracy,
            "Gain, points": None
            if line.gain is None
            else f"{100 * line.gain:+.1f} ± {100 * (line.interval or 0):.1f}",
            "Created": time.strftime("%d %b %H:%M", time.localtime(line.status.created))
            if line.status.created
            else "–",
            "Took": duration(line.status.elapsed() or None),
        }
        for line in lines
    ]

    def clicked() -> None:
        if chosen := st.session_state["runs-table"]["selection"]["rows"]:
            st.session_state["go-run"] = lines[chosen[0]].run.id

    st.dataframe(
        rows,
        width="stretch",
        hide_index=True,
        placeholder="",
        alt="Table of runs; the box below it chooses one, too",
        key="runs-table",
        on_select=clicked,
        selection_mode="single-row",
        column_config={
            "Held-out accuracy": st.column_config.NumberColumn(
                "Held-out accuracy, %",
                format="%.1f",
                help="Mean over held-out tasks, whose classes took no part in training.",
            ),
            "Gain, points": st.column_config.TextColumn(
                help="Paired difference to the best baseline on the same tasks, with its 95 % interval."
            ),
            "Took": st.column_config.TextColumn(help="All attempts together."),
        },
    )
