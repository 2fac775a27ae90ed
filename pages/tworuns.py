"""Two runs side by side on the Compare page, and a report of each to take away."""

from __future__ import annotations

import streamlit as st

from metalab.comparison import config_difference, run_difference
from metalab.runs import Run, RunStore
from pages.common import choose, download, errors_in_place, gone
from pages.reporting import report


def linked_run() -> None:
    """Make the run that *Runs* or the address (``?run=``) names run A; say so if it is not there."""
    asked = st.session_state.pop("go-run", None) or st.query_params.get("run")
    st.query_params.pop("run", None)
    if asked in {run.id for run in RunStore().list()}:
        st.session_state["go-a"] = asked
    elif asked:
        gone("Run", asked)


@errors_in_place()
def two_runs() -> None:
    """Compare two runs: accuracy on the same tasks, and the settings that differ."""
    found = [run for run in RunStore().list() if run.status().state != "damaged"]
    evaluated = {run.id for run in found if run.has("evaluation.json")}
    runs = {run.id: run for run in sorted(found, key=lambda run: run.id not in evaluated)}
    if len(runs) < 2:
        st.caption("With two runs or more, you see here what differs between them.")
        return
    labels = {
        id: f"{run.name} · {run.started}" + ("" if id in evaluated else " · not evaluated")
        for id, run in runs.items()
    }
    columns = st.columns(2)
    with columns[0]:
        a = runs[choose("Run A", labels, "a")]
    with columns[1]:
        others = {id: label for id, label in labels.items() if id != a.id}
        b = runs[choose("Run B", others, "b", hidden=labels)]
    difference = None
    if a.evaluation() and b.evaluation():
        difference = run_difference(a, b)
        if difference is None:
            st.caption("The two met different tasks: their accuracies cannot be compared.")
    else:
        missing = " and ".join(f"**{run.name}**" for run in (a, b) if run.id not in evaluated)
        st.caption(f"Not evaluated yet: {missing}. Until then only the settings can be compared.")
    if difference:
        amount = f"{100 * abs(difference.difference):.1f} ± {100 * difference.interval:.1f} points"
        how = "paired, on the same tasks" if difference.paired else "not paired: older results"
        if abs(difference.difference) <= difference.interval:
            st.markdown(f"**No clear difference**: {amount} ({how}).")
        else:
            better, worse = (a, b) if difference.difference > 0 else (b, a)
            st.markdown(f"**{better.name}** is {amount} better than **{worse.name}** ({how}).")
    changed = config_difference(a.config, b.config)
    if changed:
        st.dataframe(
            [{"Setting": name, "Run A": left, "Run B": right} for name, left, right in changed],
            width="stretch",
            hide_index=True,
        )
    else:
        st.caption("Both have the same settings.")
    reports([a, b])


def reports(runs: list[Run]) -> None:
    """Offer a report of each run that opens anywhere."""
    for column, run, name in zip(st.columns(2), runs, "AB", strict=True):
        download(
            column,
            f"Report of run {name} (HTML)",
            lambda run=run: report(run),
            f"{run.id}.html",
            "text/html",
            icon=":material/download:",
            width="stretch",
            key=f"report-{name}",
            help="Curves, results, configuration and pictures in one file; opens without internet.",
        )
