"""Adapt and see: take a trained model to one task, watch it adapt, keep the adapted model."""

from __future__ import annotations

import io
from typing import Any

import streamlit as st

from metalab import plots
from metalab.errors import DataError
from metalab.runs import RunStore
from pages.common import (
    CHART,
    WORDS,
    choose,
    data_settings,
    embedder,
    errors_in_place,
    picture,
    sheets,
    source_of,
    started,
    task_metrics,
    trained,
)

HELD_OUT, DIGITS, OWN = "Held-out tasks", "Real handwritten digits", "Own images"


def models() -> dict[str, tuple[str, float]]:
    """Return what can be adapted: key → (label, time of its file); shipped ones first, then runs."""
    from metalab.metalearners import get_metalearner
    from metalab.shipped import shipped

    found = {
        name: (f"{get_metalearner(name).label} · shipped", model.path.stat().st_mtime)
        for name, model in shipped().items()
    }
    for run in RunStore().list():
        path = run.checkpoint("best")
        if path.is_file():
            found[run.id] = (f"{run.name} · run of {started(run)}", path.stat().st_mtime)
    return found


def sampled_task(model: Any, where: str) -> tuple[Any, list[str]]:
    """Let the user choose way, shot and number of a held-out task; return it with its class names."""
    from metalab.tasks import TaskShape, task_at

    source = source_of(data_settings(model.config), "digits" if where == DIGITS else None)
    most = source.largest_way("test")
    row = st.columns([1, 1, 1, 2], vertical_alignment="bottom")
    way = row[0].number_input(
        "Way", 2, min(most, 50), min(5, most), key=f"way-{where}", help="Classes in the task."
    )
    shot = row[1].number_input("Shot", 1, 20, 1, key="shot", help="Support examples per class.")
    number = row[2].number_input("Task", 0, 99_999, 0, key="number", help="Number in a fixed list of tasks.")
    row[3].button(
        "Next task",
        icon=":material/shuffle:",
        on_click=lambda: st.session_state.update(number=st.session_state["number"] + 1),
    )
    task = task_at(source, number, "test", TaskShape(way, shot, 15 if way <= 10 else 5), seed=1)
    names = source.class_names("test")
    return task, [names[int(i)] for i in task.classes]


def own_images(model: Any) -> tuple[Any, list[str]] | None:
    """Let the user bring a zip of class folders; return its task with the class names."""
    from metalab.data.folder import own_task, read_classes

    row = st.columns([3, 1])
    upload = row[0].file_uploader(
        "A zip with one folder per class",
        type="zip",
        help="For example `cat/1.png, cat/2.png, dog/1.png …`. Two or more classes.",
    )
    shot = row[1].number_input(
        "Shot",
        1,
        50,
        1,
        key="own-shot",
        help="Support examples per class, the first by name; the rest is query.",
    )
    if upload is None:
        st.caption(
            "The first images of each folder become the support set, the others show how well it works."
        )
        return None
    backbone = model.metalearner.backbone
    classes = read_classes(io.BytesIO(upload.getvalue()), backbone.size, backbone.channels)
    return own_task(classes, shot), list(classes)


@st.fragment
@errors_in_place()
def adapt_and_see(key: str, version: float) -> None:
    """Choose a task, adapt to it, and show everything."""
    from metalab.adaptation import adapt_examples
    from metalab.inspection import inspect_task

    model = trained(key, version)
    places = [HELD_OUT, DIGITS, OWN] if model.config.channels == 1 else [HELD_OUT, OWN]
    where = (
        st.segmented_control(
            "Task from",
            places,
            default=HELD_OUT,
            key="where",
            help=f"{WORDS['task']} Classes of held-out tasks took no part in training the model.",
        )
        or HELD_OUT
    )
    chosen = own_images(model) if where == OWN else sampled_task(model, where)
    if chosen is None:
        return
    task, names = chosen
    view = inspect_task(model.metalearner, model.pretrained, task, names)
    task_metrics(view)
    if model.metalearner.transductive:
        st.caption("Transductive: this model uses statistics of all query examples in each prediction.")
    stages = [stage.name for stage in view.stages]
    stage = stages[-1]
    if len(stages) > 1:
        stage = st.select_slider(
            "Moment of adaptation",
            stages,
            stages[-1],
            key=f"stage-{key}",
            help="From the pre-trained backbone (nearest class centroid) through the inner steps to the end.",
        )
    sheets(view, stage)
    tabs = st.tabs(["Accuracy by step", "Confusion", "Most confident mistakes"])
    with tabs[0]:
        st.plotly_chart(plots.step_curve(view), width="stretch", key="steps", config=CHART)
    with tabs[1]:
        st.plotly_chart(plots.confusion(view, stage), width="stretch", key="confusion", config=CHART)
    with tabs[2]:
        mistakes(view, stage)
    st.subheader(
        "Features before and after", help="Features: the numbers that the backbone makes of an image."
    )
    picture(view, "adapt")
    st.download_button(
        "Download the adapted model",
        lambda: adapt_examples(model.metalearner, task.support, view.classes).to_bytes(),
        "adapted.safetensors",
        icon=":material/download:",
        help="Class names and preprocessing are inside: `python -m metalab predict --model "
        "adapted.safetensors IMAGE …`, or `metalab.load()` in Python.",
        on_click="ignore",
    )


def mistakes(view: Any, stage_name: str) -> None:
    """Show the wrong predictions that the model was surest of."""
    stage = view.stage(stage_name)
    sure, said = stage.probabilities.max(1), stage.probabilities.argmax(1)
    labels, images = view.labels[~view.support], view.images[~view.support]
    wrong = [int(i) for i in (-sure).argsort(kind="stable") if said[i] != labels[i]][:10]
    if not wrong:
        st.caption("None: every query example is right.")
        return
    for column, i in zip(st.columns(10), wrong, strict=False):
        caption = f"{view.classes[said[i]]} ({sure[i]:.0%}), is {view.classes[labels[i]]}"
        column.image(plots.thumbnail(images[i]), caption=caption)


st.title("Adapt and see")
st.caption(f"{WORDS['support']} {WORDS['query']}")
with errors_in_place():
    found = models()
    if not found:
        raise DataError("no model is trained yet", fix="Set up a task and train one")
    key = choose("Model", {key: label for key, (label, _) in found.items()}, "model")
    adapt_and_see(key, found[key][1])

embedder()
