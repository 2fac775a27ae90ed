"""Choosing a trained model and a task for it, as the pages Adapt and Features do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.common import WORDS, choose
from pages.models import data_settings, own_view, sampled_view, source_of, trained

if TYPE_CHECKING:
    from metalab.config import Config
    from metalab.inspection import TaskView

HELD_OUT, DIGITS, OWN, DRAW = "Held-out tasks", "Real handwritten digits", "Own images", "Draw one"
LARGEST = 99_999
"""Highest number of a task."""


def choose_model() -> tuple[str, float]:
    """Let the user choose what to adapt; return its key and the time of its file.

    Links name it ``?model=``, or ``?run=`` for a run.
    """
    from metalab.choice import PHOTO
    from metalab.comparison import models

    found = models() | {PHOTO: ("Photos: ImageNet features and a ridge head · ready, for own images", 0.0)}
    if asked := st.query_params.get("run"):
        st.session_state["go-model"] = asked
        del st.query_params["run"]
    key = choose("Model", {key: label for key, (label, _) in found.items()}, "model")
    return key, found[key][1]


def task_number() -> None:
    """Take the task's number from another page or the address (``?task=``), once for each visit."""
    state = st.session_state
    asked = state.pop("go-task", None)
    if asked is None and "number" not in state:
        asked = st.query_params.get("task", "0")
    if asked is not None:
        state["number"], state["asked-task"] = linked_task(asked), str(asked)
    no_such_task(state["asked-task"], state["number"])


def linked_task(asked: object) -> int:
    """Return the number of the task that a link names, 0 if there is no such task."""
    return int(str(asked)) if is_task(str(asked)) else 0


def is_task(text: str) -> bool:
    """Whether ``text`` is the number of a task."""
    return text.isdecimal() and len(text) <= len(str(LARGEST))


def no_such_task(asked: str, shown: int) -> None:
    """Say that a link ``asked`` for a task that is not there, while task 0 is ``shown`` instead."""
    if shown == 0 and not is_task(asked):
        st.warning(f"There is no task {asked!r}: tasks are numbered from 0 to {LARGEST:,}. Here is task 0.")


def choose_task(key: str, version: float, draw: bool = False) -> TaskView | str:
    """Let the user choose a task and return it as model ``key`` adapts to it.

    A string instead says that there is none to show: :data:`DRAW`, or :data:`OWN` before the upload.
    """
    from metalab.choice import PHOTO

    config = trained(key, version).config
    places = [HELD_OUT, DIGITS, OWN, DRAW] if config.channels == 1 else [HELD_OUT, OWN]
    if key == PHOTO:  # it comes without data of its own
        places = [OWN]
    places = [place for place in places if draw or place != DRAW]
    if st.session_state.get("where") not in places:
        st.session_state.pop("where", None)  # chosen for another model
    where = st.segmented_control(
        "Task from",
        places,
        default=places[0],
        required=True,
        key="where",
        help=f"{WORDS['task']} Classes of held-out tasks took no part in training the model.",
    )
    if where == OWN:
        return from_upload(key, version) or OWN
    return DRAW if where == DRAW else from_list(key, version, config, where)


def from_list(key: str, version: float, config: Config, where: str) -> TaskView:
    """Let the user choose way, shot and number of a held-out task, and adapt to it."""
    settings, name = data_settings(config), "digits" if where == DIGITS else None
    most = source_of(settings, name).largest_way("test")
    task_number()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        help = "Classes in the task."
        way = st.number_input("Way", 2, min(most, 50), min(5, most), key=f"way-{where}", help=help, width=150)
        help = "Support examples per class."
        shot = st.number_input("Shot", 1, 20, 1, key="shot", help=help, width=150)
        help = "Number in a fixed list of tasks; part of the link."
        number = st.number_input("Task", 0, LARGEST, "min", key="number", help=help, width=150)
        st.button(
            "Next task",
            icon=":material/shuffle:",
            on_click=lambda: st.session_state.update(number=min(LARGEST, st.session_state["number"] + 1)),
        )
    st.query_params["task"] = str(number)
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
