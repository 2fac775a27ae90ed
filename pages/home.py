"""Home: what this is, what is trained, and a shipped model to try at once."""

from __future__ import annotations

import streamlit as st

from metalab.jobs import LocalBackend
from metalab.runs import RunStore
from pages.common import CHART, WORDS, data_settings, embedder, errors_in_place, picture, sheets

st.title("metalab")
st.markdown(
    "**Few-shot learning that you can use and see.** You have a *new task* and a handful of examples of "
    "each class. metalab has learnt across *many earlier tasks* how to adjust a shared, pre-trained feature "
    "extractor; it adapts to your task in about a second and shows what changed."
)


def try_it_now() -> None:
    """Adapt a shipped checkpoint to a held-out task of unseen characters."""
    from metalab.inspection import inspect_task
    from metalab.metalearners import get_metalearner
    from metalab.shipped import shipped
    from metalab.tasks import TaskShape, task_at
    from pages.common import source_of, trained

    models = shipped()
    if not models:
        st.info("No checkpoint came with this copy of metalab. Train one: *Set up a task*.")
        return
    row = st.columns([3, 2, 2], vertical_alignment="bottom")
    name = row[0].segmented_control(
        "Method",
        list(models),
        format_func=lambda key: get_metalearner(key).label,
        default=next(iter(models)),
        required=True,
        key="try-method",
        help="  \n".join(f"**{get_metalearner(key).label}**: {get_metalearner(key).summary}" for key in models),
    )
    shot = row[1].segmented_control(
        "Shot", [1, 5], default=1, required=True, key="try-shot", help="Support examples per class."
    )
    number = st.session_state.setdefault("try-task", 0)
    if row[2].button("Another task", icon=":material/shuffle:", width="stretch"):
        number = st.session_state["try-task"] = number + 1
    model = trained(name)
    source = source_of(data_settings(model.config))
    task = task_at(source, number, "test", TaskShape(5, shot, 15), seed=1)
    names = source.class_names("test")
    view = inspect_task(
        model.metalearner, model.pretrained, task, [names[int(i)] for i in task.classes]
    )
    before, after = view.stages[0].accuracy, view.stages[-1].accuracy
    numbers = st.columns(3)
    numbers[0].metric(
        "Right after adaptation",
        f"{after:.0%}",
        f"{100 * (after - before):+.0f} points",
        help="Share of the query set. The difference is to the frozen pre-trained features with the "
        "nearest class centroid, on the same task. One task says little: see the table below.",
    )
    numbers[1].metric("Time to adapt and predict", f"{view.seconds * 1000:.0f} ms")
    numbers[2].metric("Classes never seen in training", len(view.classes), help=WORDS["task"])
    sheets(view, view.stages[-1].name)
    picture(view, "try")
    st.caption(
        "Before: the pre-trained backbone. After: adapted to this task. Each point is an example; hover to see "
        "the drawing. Characters of the scripts shown here took no part in any training."
    )
    from metalab import plots

    evaluation = models[name].evaluation
    with st.expander(f"How good is it over {evaluation['rows'][0]['tasks']} tasks like this? Honest numbers"):
        st.markdown(f"**{evaluation['verdict']}**")
        st.plotly_chart(
            plots.evaluation_bars(evaluation), width="stretch", key=f"bars-{name}", config=CHART
        )
        st.caption("5-way 1-shot on held-out scripts, mean and 95 % interval, the same tasks for every row.")


left, right = st.columns([3, 1], vertical_alignment="bottom")
left.subheader("Try it now")
right.page_link("pages/setup.py", label="Set up your own task", icon=":material/arrow_forward:")
with errors_in_place():
    st.fragment(try_it_now)()

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
