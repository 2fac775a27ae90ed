"""Where the pictures of *Pictures* come from: embedded scenes, annotated files, or labels made here."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from pages.labelhere import label_here

if TYPE_CHECKING:
    from metalab.data.annotated import AnnotatedSet
    from metalab.data.annotation import Target
    from metalab.data.archives import Note
    from metalab.own_pictures import PictureTask

SAMPLE, FILES, HERE = "Sample", "Annotated zip", "Label here"
SHOT = "Labelled pictures of each class that the model learns from: K of K-shot."
CLASSES = 5
"""Of a user's classes chosen at first; each costs as much time as the first one."""


@st.cache_resource(show_spinner="Drawing scenes …", max_entries=16)
def sampled(application: str, number: int, way: int, shot: int) -> PictureTask:
    """Return a task of the embedded scenes; once, for all reruns."""
    from metalab.own_pictures import sample_task

    return sample_task(application, number, way, shot)


@st.cache_resource(show_spinner="Reading the pictures …", max_entries=4)
def read_zip(key: str, target: Target, _content: bytes, name: str) -> AnnotatedSet:
    """Read what can be used of an uploaded zip; once, for all reruns."""
    from metalab.data.annotated import read_annotated

    file = io.BytesIO(_content)
    file.name = name
    return read_annotated(file, target=target, leave_out=True)


def picture_task(application: str, where: str) -> PictureTask | None:
    """Let the user bring pictures from ``where``; return the task, None until there is enough."""
    from metalab.picture_model import TARGETS

    if where == SAMPLE:
        return _sample(application)
    return (_files if where == FILES else label_here)(TARGETS[application])


def _sample(application: str) -> PictureTask:
    row = st.columns([1, 1, 2], vertical_alignment="bottom")
    way = row[0].number_input("Classes", 1, 5, 2, key="pictures-way", help="Kinds of objects to find.")
    shot = row[1].number_input("Shot", 1, 5, 3, key="pictures-shot", help=SHOT)
    st.session_state.setdefault("pictures-number", 0)

    def another() -> None:
        st.session_state["pictures-number"] += 1

    row[2].button("Another task", icon=":material/shuffle:", on_click=another)
    st.caption(
        "Scenes composed here, 64×64 pixels: objects of kinds that the model has never met, among others "
        "that are not asked for."
    )
    return sampled(application, st.session_state["pictures-number"], way, shot)


def _agreed(found: AnnotatedSet, target: Target, key: str) -> bool:
    """Show what is to be said of the files; return whether the user has agreed to any faults."""
    state, name = st.session_state, f"pictures-agreed-{target}-{key}"
    others = [note for note in found.notes if note not in found.faults]
    if found.faults and not state.get(name):
        st.warning(
            "**Some of it cannot be used as it is.** Correct it and bring the zip again, or go on without.",
            icon=":material/report:",
        )
        _notes(found.faults)
        st.button(
            "Go on without",
            type="primary",
            icon=":material/playlist_remove:",
            on_click=lambda: state.update({name: True}),
            help="The rest is used; what is listed is left out or repaired, as it says.",
        )
        return False
    if found.notes:
        with st.expander(f"Remarks on the files: {len(found.notes)}", icon=":material/report:"):
            _notes([*found.faults, *others])
    return True


def _notes(notes: Sequence[Note]) -> None:
    import pandas as pd

    done = {"skipped": "left out", "repaired": "repaired", "warning": "worth a look"}
    rows = [{"File": one.where, "Done": done[one.action], "What": one.what} for one in notes]
    wide = {"What": st.column_config.TextColumn(width="large")}
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", column_config=wide)


def _files(target: Target) -> PictureTask | None:
    from metalab.own_pictures import divide

    upload = st.file_uploader(
        "A zip of annotated pictures",
        type="zip",
        key="pictures-zip",
        help="COCO (a JSON and images/), Pascal VOC (Annotations/ and JPEGImages/), or images/ and masks/ "
        "with PNGs of class numbers, best with their names, one a line, in a classes.txt. The layout is "
        "recognised.",
    )
    if upload is None:
        st.caption("COCO, Pascal VOC, or images with PNG masks. Some pictures teach, the others judge.")
        return None
    content = upload.getvalue()
    key = hashlib.sha256(content).hexdigest()
    found = read_zip(key, target, content, upload.name)
    counts = found.counts()
    words = "1 class" if len(counts) == 1 else f"{len(counts)} classes"
    st.markdown(f"**{len(found.pictures)} pictures, {words}**: " + ", ".join(
        f"{name} on {count}" for name, count in list(counts.items())[:12]))  # fmt: skip
    if not _agreed(found, target, key):
        return None
    row = st.columns([4, 1, 1.4], vertical_alignment="bottom")
    often = sorted(sorted(counts, key=lambda name: -counts[name])[:CLASSES])
    chosen = row[0].multiselect(
        "Classes to find", list(counts), default=often, key=f"pictures-classes-{key[:8]}"
    )
    shot = row[1].number_input("Shot", 1, 10, 3, key="pictures-own-shot", help=SHOT)
    st.session_state.setdefault("pictures-seed", 0)

    def again() -> None:
        st.session_state["pictures-seed"] += 1

    row[2].button(
        "Redraw",
        icon=":material/shuffle:",
        on_click=again,
        help="Draw anew which pictures teach: the support.",
    )
    return divide(found.pictures, sorted(chosen), shot, st.session_state["pictures-seed"])
