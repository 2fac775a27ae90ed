"""Adapt and see: take a trained model to one task, watch it adapt, keep the adapted model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from metalab import plots
from metalab.config import Config
from metalab.errors import DataError
from metalab.runs import RunStore
from pages.common import (
    CHART,
    WORDS,
    choose,
    data_settings,
    embedder,
    errors_in_place,
    own_view,
    picture,
    sampled_view,
    sheets,
    source_of,
    started,
    task_metrics,
    trained,
)

if TYPE_CHECKING:
    from metalab.inspection import TaskView
    from metalab.shipped import Trained

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


def from_list(key: str, version: float, config: Config, where: str) -> TaskView:
    """Let the user choose way, shot and number of a held-out task, and adapt to it."""
    settings, name = data_settings(config), "digits" if where == DIGITS else None
    most = source_of(settings, name).largest_way("test")
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
    return sampled_view(key, version, settings, name, way, shot, 15 if way <= 10 else 5, number)


def from_upload(key: str, version: float) -> TaskView | None:
    """Let the user bring a zip of class folders, and adapt to it; None before there is one."""
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
    return own_view(key, version, upload.getvalue(), shot)


@st.fragment
@errors_in_place()
def adapt_and_see(key: str, version: float) -> None:
    """Choose a task, adapt to it, and show everything."""
    model = trained(key, version)
    places = [HELD_OUT, DIGITS, OWN] if model.config.channels == 1 else [HELD_OUT, OWN]
    where = st.segmented_control(
        "Task from",
        places,
        default=HELD_OUT,
        required=True,
        key="where",
        help=f"{WORDS['task']} Classes of held-out tasks took no part in training the model.",
    )
    view = from_upload(key, version) if where == OWN else from_list(key, version, model.config, where)
    if view is None:
        return
    task_metrics(view)
    if model.metalearner.transductive:
        st.caption("Transductive: each prediction here depends on all query examples together.")
    stages = [stage.name for stage in view.stages]
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
        lambda: adapted_model(model, view),
        "adapted.safetensors",
        icon=":material/download:",
        help="Class names and preprocessing are inside: `python -m metalab predict --model "
        "adapted.safetensors IMAGE …`, or `metalab.load()` in Python.",
        on_click="ignore",
    )


def adapted_model(model: Trained, view: TaskView) -> bytes:
    """Return the file of ``model`` adapted to the support set of ``view``."""
    import torch

    from metalab.adaptation import adapt_examples
    from metalab.tasks import Examples

    x, y = (torch.from_numpy(held[view.support]) for held in (view.images, view.labels))
    support = Examples(x, y).to(model.pretrained.input_mean.device)
    return adapt_examples(model.metalearner, support, view.classes).to_bytes()


def mistakes(view: TaskView, stage_name: str) -> None:
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
