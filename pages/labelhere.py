"""Pictures of one's own, labelled on the page: upload, name the classes, draw, adapt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.collect import kinds
from pages.common import errors_in_place
from pages.labelling import Labelled, labelled_of, labeller, picture_of

if TYPE_CHECKING:
    from metalab.data.annotation import Picture
    from metalab.data.labelled import Target
    from metalab.own_pictures import PictureTask

MOST = 12  # pictures: each is sent to the browser
SAMPLE = 7  # number of a task of embedded scenes
HOW = {
    "masks": "Paint over each object with the brush. Rough is fine; what you leave bare is background.",
    "boxes": "Drag a box around each object, from one corner to the opposite one. Drag a box to move it, a "
    "corner of it to resize it. Box every one on a picture: what has no box is taken for background.",
}


def label_here(kind: Target) -> PictureTask | None:
    """Let the user label pictures; return the task of the last *Adapt*, None before."""
    _label(kind)
    task = st.session_state.get(f"labelled-{kind}")
    return task if st.session_state.get("label-pictures") else None


@st.fragment
@errors_in_place()
def _label(kind: Target) -> None:
    held = _pictures()
    if not held:
        found = [st.session_state.pop(f"labelled-{one}", None) for one in HOW]
        if any(found):  # it goes with the pictures that were taken away
            st.rerun()
        st.caption("For example three photos of your desk with the same mug on two of them. Or try it with:")
        st.button("Sample pictures", icon=":material/shapes:", on_click=_sample)
        return
    st.session_state.setdefault("label-names", st.session_state.get("label-names-kept", "object"))
    names = st.text_input(
        "Classes",
        key="label-names",
        help="What is to be found, separated by commas: `cat, dog`. Up to nine.",
    )
    from metalab.labelling import class_names, labelled

    st.session_state["label-names-kept"] = names
    classes = class_names(names)
    st.caption(f"{HOW[kind]} Pictures without a label are left for the model to find things in.")
    drawn = labeller(held, classes, kind)
    pictures = [labelled(one.name, one.image, drawn.get(one.id) or {}, classes, kind) for one in held]
    _adapt(kind, pictures, classes)
    _remove(held)


def _adapt(kind: Target, pictures: list[Picture], classes: list[str]) -> None:
    """Say what is still missing, else offer to adapt to the labels."""
    from metalab.errors import DataError
    from metalab.labelling import require_labels
    from metalab.own_pictures import PictureTask, task_key

    support = [picture for picture in pictures if picture.instances]
    query = [picture for picture in pictures if not picture.instances]
    missing = "" if support else "Nothing is labelled yet: one picture is enough to begin."
    if support:
        try:
            require_labels(support, classes)
        except DataError as error:
            missing = f"Something is missing: {error}"
    row = st.columns([1, 3], vertical_alignment="center")
    pressed = row[0].button(
        "Adapt to these labels",
        type="primary",
        icon=":material/bolt:",
        disabled=bool(missing),
        width="stretch",
    )
    task = PictureTask(support, query, classes, known=False)
    before = st.session_state.get(f"labelled-{kind}")
    words = missing or (
        f"**{len(support)} of {len(pictures)} pictures labelled**; the model searches the other {len(query)}."
    )
    if not missing and not query:
        words = "**All pictures are labelled**: bring new ones below to search."
    if before is not None and task_key(before) != task_key(task) and not pressed:
        words += " What follows is of earlier labels."
    row[1].caption(words)
    if pressed:
        st.session_state[f"labelled-{kind}"] = task
        st.rerun()


def _pictures() -> list[Labelled]:
    """Show where pictures are dropped; they are kept for the session, whatever page is open."""
    state = st.session_state
    number = state.setdefault("label-upload-number", 0)
    key = f"label-upload-{number}"

    def take() -> None:
        """Keep what was dropped, and empty the field: what is kept is shown below it."""
        from metalab.errors import DataError

        held: dict[str, Labelled] = state.setdefault("label-pictures", {})
        state["label-faults"] = faults = []
        for file in state.get(key) or []:
            try:
                one = picture_of(file.name, file.getvalue())
            except DataError as error:
                faults.append(str(error))
                continue
            if len(held) >= MOST and one.id not in held:
                faults.append(f"{file.name}: left out, {MOST} pictures are the most.")
            else:
                held[one.id] = one
        state["label-upload-number"] = number + 1

    st.file_uploader(
        "Pictures to label",
        type=kinds(),
        accept_multiple_files=True,
        key=key,
        on_change=take,
        help=f"Up to {MOST}; one or two to label and one to search make a start.",
    )
    for fault in state.get("label-faults", []):
        st.error(fault, icon=":material/error:")
    return list(state.get("label-pictures", {}).values())


def _sample() -> None:
    """Take scenes that show the same kind of thing."""
    from metalab.own_pictures import sample_task

    task = sample_task("segmentation", SAMPLE, 1, 2, 2, 256)
    held = [labelled_of(f"scene {i + 1}", one.image) for i, one in enumerate([*task.support, *task.query])]
    st.session_state["label-pictures"] = {one.id: one for one in held}
    st.session_state["label-names-kept"] = task.classes[0].lower()


def _remove(held: list[Labelled]) -> None:
    """Let the user take pictures away again."""
    state = st.session_state

    def remove() -> None:
        for ident in state["label-gone"] or names:
            state["label-pictures"].pop(ident, None)
        state["label-gone"] = []

    names = {one.id: one.name for one in held}
    with st.popover("Take pictures away", icon=":material/delete:"):
        st.multiselect("Which ones", list(names), [], names.get, key="label-gone", placeholder="all of them")
        st.button("Take away", on_click=remove)
