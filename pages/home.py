"""Home: what this is, what is trained, and a shipped model to try at once."""

from __future__ import annotations

import streamlit as st

from metalab.jobs import LocalBackend
from metalab.runs import RunStore
from pages.common import (
    WORDS,
    data_settings,
    embedder,
    errors_in_place,
    evaluation_table,
    picture,
    sampled_view,
    sheets,
    task_metrics,
)

st.title("metalab")
st.markdown(
    "**Few-shot learning that you can use and see.** You have a *new task* and a handful of examples of "
    "each class. metalab has learnt across *many earlier tasks* how to adjust a shared, pre-trained feature "
    "extractor; it adapts to your task in about a second and shows what changed."
)


@st.fragment
@errors_in_place()
def try_it_now() -> None:
    """Adapt a shipped checkpoint to a held-out task of unseen characters."""
    from metalab.metalearners import get_metalearner
    from metalab.shipped import shipped, shipped_evaluation

    models = shipped()
    if not models:
        st.info("No checkpoint came with this copy of metalab. Train one on *Train*.")
        return
    row = st.columns([3, 2, 2], vertical_alignment="bottom")
    name = row[0].segmented_control(
        "Method",
        list(models),
        format_func=lambda key: get_metalearner(key).label,
        default=next(iter(models)),
        required=True,
        key="try-method",
        help="  \n".join(
            f"**{get_metalearner(key).label}**: {get_metalearner(key).summary}" for key in models
        ),
    )
    shot = row[1].segmented_control(
        "Shot", [1, 5], default=1, required=True, key="try-shot", help="Support examples per class."
    )
    number = st.session_state.setdefault("try-task", 0)
    if row[2].button("Another task", icon=":material/shuffle:", width="stretch", type="primary"):
        number = st.session_state["try-task"] = number + 1
    version, settings = models[name].path.stat().st_mtime, data_settings(models[name].config)
    view = sampled_view(name, version, settings, None, 5, shot, 15, number)
    st.caption(
        "Five characters of a script that took no part in any training, "
        f"{shot} {'drawing' if shot == 1 else 'drawings'} of each to learn from, 15 of each to judge by. "
        f"{WORDS['task']}"
    )
    task_metrics(view)
    sheets(view, view.stages[-1].name)
    picture(view, "try-picture")
    if evaluation := shipped_evaluation():
        with st.expander(f"How good is it over {evaluation['rows'][0]['tasks']} such tasks? Honest numbers"):
            evaluation_table(evaluation)


left, right = st.columns([3, 1], vertical_alignment="bottom")
left.subheader("Try it now")
right.page_link("pages/tasks.py", label="Set up your own task", icon=":material/arrow_forward:")
try_it_now()

st.subheader("Your runs")
with errors_in_place():
    backend = LocalBackend()
    rows = []
    for run in RunStore().list()[:50]:
        status = backend.status(run)
        accuracy = None
        if run.has("evaluation.json"):
            accuracy = run.read_json("evaluation")["rows"][0]["accuracy"]
        rows.append({"Run": run.name, "State": status.state, "Held-out accuracy": accuracy, "Id": run.id})
    if rows:
        st.dataframe(
            rows,
            width="stretch",
            hide_index=True,
            column_config={"Held-out accuracy": st.column_config.NumberColumn(format="percent")},
        )
        st.page_link("pages/train.py", label="Open a run", icon=":material/show_chart:")
    else:
        st.caption("None yet. A run is one meta-training with everything that belongs to it.")

embedder()  # its process warms up while the page is read
