"""Compare: methods and runs on the same tasks, what they cost, and what differs between two runs."""

from __future__ import annotations

import streamlit as st

from metalab import plots_compare
from metalab.comparison import SHIPPED_MODELS, Entry, boards, own_first, plain_verdict
from pages.common import chart, errors_in_place
from pages.sweeps import sweeps
from pages.tworuns import linked_run, two_runs

VERDICTS = 3
"""Sentences of the user's runs shown at once, at most, and as many of the shipped models."""
ROWS = 12
"""Rows shown without scrolling."""


def verdicts(rows: list[Entry]) -> None:
    """Say in plain words whether each of the user's runs pays, those that can be judged first, and each
    shipped model."""
    own = sorted((row for row in rows if row.run and row.gain is not None), key=lambda row: row.few_steps)
    shipped = [row for row in rows if row.origin == SHIPPED_MODELS and row.gain is not None]
    for row in own[:VERDICTS] + shipped[:VERDICTS]:
        better = row.gain > (row.gain_interval or 0) and not row.transductive and not row.few_steps
        st.markdown(f":material/{'trending_up' if better else 'trending_flat'}: {plain_verdict(row)}")
    if len(own) > VERDICTS:
        st.caption(f"{len(own) - VERDICTS} more of your runs are in the table.")


def table(rows: list[Entry]) -> None:
    """List every row with its interval, its paired difference and its costs; sortable by each column."""
    st.dataframe(
        [
            {
                "Method": row.label,
                "Accuracy": 100 * row.accuracy,
                "Gain": None if row.gain is None else 100 * row.gain,
                "± accuracy": 100 * row.interval,
                "± gain": None if row.gain_interval is None else 100 * row.gain_interval,
                "From": f"your run {row.origin}" if row.run else row.origin or "baseline",
                "Transductive": "yes" if row.transductive else "",
                "s a step": row.step_seconds,
                "ms to adapt": row.adapt_milliseconds,
            }
            for row in own_first(rows)
        ],
        width="stretch",
        hide_index=True,
        placeholder="–",
        height=38 + 35 * min(len(rows), ROWS),
        column_config={
            "Transductive": st.column_config.TextColumn(
                width=92, help="Judges all query examples of a task together, so it knows more."
            ),
            "Accuracy": st.column_config.NumberColumn("Accuracy, %", format="%.1f", width=88),
            "± accuracy": st.column_config.NumberColumn(
                format="%.1f", width=78, help="Half the 95 % interval."
            ),
            "Gain": st.column_config.NumberColumn(
                format="%+.1f",
                width=56,
                help="Points of accuracy over the best baseline: the paired difference on the same tasks.",
            ),
            "± gain": st.column_config.NumberColumn(format="%.1f", width=56, help="Half the 95 % interval."),
            "s a step": st.column_config.NumberColumn(
                format="%.2f", width=66, help="Seconds a meta-training step."
            ),
            "ms to adapt": st.column_config.NumberColumn(
                format="%.0f", width=86, help="Adapting to one task and predicting its queries."
            ),
        },
    )
    first = "your runs, then the best baseline, then all others" if any(row.run for row in rows) else "all"
    more = f", {ROWS} of them seen at once: scroll for the others" if len(rows) > ROWS else ""
    st.caption(f"{len(rows)} rows{more}. Order: {first} by accuracy.")


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
with errors_in_place():
    linked_run()
board()
st.subheader("Accuracy by shots and by inner steps")
sweeps()
st.subheader("Two runs side by side")
two_runs()
