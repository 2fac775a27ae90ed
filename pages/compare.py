"""Compare: methods and runs on the same tasks, what they cost, and what differs between two runs."""

from __future__ import annotations

import streamlit as st

from metalab import plots_compare
from metalab.comparison import SHIPPED_MODELS, Entry, boards, plain_verdict
from pages.common import chart, errors_in_place
from pages.sweeps import sweeps
from pages.tworuns import two_runs

VERDICTS = 4
"""Sentences shown at once, at most."""


def verdicts(rows: list[Entry]) -> None:
    """Say in plain words whether meta-training pays: for the user's runs, else for the shipped models."""
    own = [row for row in rows if row.run] or [row for row in rows if row.origin == SHIPPED_MODELS]
    for row in own[:VERDICTS]:
        if row.gain is None:
            continue
        better = row.gain > (row.gain_interval or 0) and not row.transductive
        st.markdown(f":material/{'trending_up' if better else 'trending_flat'}: {plain_verdict(row)}")


def table(rows: list[Entry]) -> None:
    """List every row with its interval, its paired difference and its costs; sortable by each column."""
    st.dataframe(
        [
            {
                "Method": row.label,
                "Transductive": "yes" if row.transductive else "",
                "From": row.origin or "baseline",
                "Accuracy": 100 * row.accuracy,
                "± 95 %": 100 * row.interval,
                "Gain": None if row.gain is None else 100 * row.gain,
                "± gain": None if row.gain_interval is None else 100 * row.gain_interval,
                "s a step": row.step_seconds,
                "ms to adapt": row.adapt_milliseconds,
            }
            for row in rows
        ],
        width="stretch",
        hide_index=True,
        placeholder="–",
        height=38 + 35 * min(len(rows), 12),
        column_config={
            "Transductive": st.column_config.TextColumn(
                help="Judges all query examples of a task together, so it knows more."
            ),
            "Accuracy": st.column_config.NumberColumn("Accuracy, %", format="%.1f"),
            "± 95 %": st.column_config.NumberColumn(format="%.1f"),
            "Gain": st.column_config.NumberColumn(
                "Gain, points", format="%+.1f", help="Paired difference to the best baseline, same tasks."
            ),
            "± gain": st.column_config.NumberColumn(format="%.1f"),
            "s a step": st.column_config.NumberColumn(format="%.2f", help="Seconds a meta-training step."),
            "ms to adapt": st.column_config.NumberColumn(
                format="%.0f", help="Adapting to one task and predicting its queries."
            ),
        },
    )


@st.fragment
@errors_in_place()
def board() -> None:
    """Show the leaderboard of the tasks that the user chooses."""
    found = boards()
    if not found:
        st.info("Nothing is evaluated yet: train a run first.", icon=":material/info:")
        return
    words = st.selectbox(
        "Held-out tasks",
        list(found),
        key="board",
        help="Only results on the very same tasks can be compared, so each list of tasks has its own table.",
    )
    rows = found[words]
    verdicts(rows)
    tabs = st.tabs(["Leaderboard", "Gain over the best baseline", "Accuracy", "Cost against accuracy"])
    with tabs[0]:
        table(rows)
    with tabs[1]:
        chart(plots_compare.gains(rows), "gains", "Each method's paired gain over the best baseline")
        st.caption("Filled: beyond its 95 % interval. Square: transductive.")
    with tabs[2]:
        chart(plots_compare.leaderboard(rows), "accuracies", "Accuracy of each method with its interval")
        st.caption("Diamond: baseline, without any meta-training. Square: transductive.")
    with tabs[3]:
        label = st.segmented_control(
            "Cost", ["Adapting", "Training"], default="Adapting", required=True, key="cost"
        )
        cost = "adapt_milliseconds" if label == "Adapting" else "step_seconds"
        chart(
            plots_compare.cost_scatter(rows, cost), "costs", f"Accuracy against the cost of {label.lower()}"
        )
    st.caption(
        "**Baseline**: what you can have without meta-training. **Transductive**: judges all query examples "
        "of a task together, so it knows more than the others. *Quick training*: every method with the same "
        "small budget, on the machine that made this copy; your runs may have had more."
    )


st.title("Compare")
st.caption("Does meta-training pay, which method is best, and what does it cost? On the very same tasks.")
board()
st.subheader("Accuracy by shots and by inner steps")
sweeps()
st.subheader("Two runs side by side")
two_runs()
