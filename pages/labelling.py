"""Labelling pictures in the browser: a component of this app, in labelling*.js and labelling.css."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    import numpy as np

    from metalab.data.labelled import Target

_FOLDER = Path(__file__).parent
_SCRIPTS = ("elements.js", "labelling_draw.js", "labelling_boxes.js", "labelling_board.js", "labelling.js")
_labeller = st.components.v2.component(
    "metalab_labeller",
    html="<div class='labeller'></div>",
    css=(_FOLDER / "labelling.css").read_text(),
    js="\n".join((_FOLDER / name).read_text() for name in _SCRIPTS),
)
SHOWN = 640
"""Longer side, in pixels, of what the browser gets to see."""


@dataclass(frozen=True)
class Labelled:
    """A picture to be labelled: a name for its content, its file's name, its pixels, and its data URL."""

    id: str
    name: str
    image: np.ndarray
    url: str


def labeller(pictures: list[Labelled], classes: list[str], kind: Target) -> dict[str, Any]:
    """Show ``pictures`` to be labelled and return {id: {"boxes": ..., "strokes": ...}} drawn so far.

    What is drawn is kept for the session. See :mod:`metalab.labelling` for its form.
    """
    from metalab.palette import class_colours

    kept = st.session_state.get("labels-kept") or {"drawn": {}, "shown": ""}
    colours = class_colours(len(classes))
    data = {
        "kind": kind,
        "classes": [{"name": name, "colour": colour} for name, colour in zip(classes, colours, strict=True)],
        "pictures": [
            {
                "id": one.id,
                "name": one.name,
                "url": one.url,
                "width": one.image.shape[1],
                "height": one.image.shape[0],
            }
            for one in pictures
        ],
        "labels": kept,
    }
    found = _labeller(key="labeller", data=data, on_labels_change=lambda: None).labels
    if found is not None:
        st.session_state["labels-kept"] = kept = found
    drawn = kept.get("drawn")
    return drawn if isinstance(drawn, dict) else {}


def picture_of(name: str, content: bytes) -> Labelled:
    """Return one uploaded file, decoded. Raises :class:`DataError`."""
    from metalab.data.reading import decode

    return labelled_of(name, decode(content, name))


def labelled_of(name: str, image: np.ndarray) -> Labelled:
    """Return ``image`` (H, W, 3) uint8 ready to be labelled."""
    from metalab.plots_pictures import data_url, reduced

    ident = hashlib.sha256(name.encode() + image.tobytes()).hexdigest()[:12]
    return Labelled(ident, name, image, data_url(reduced(image, SHOWN), 85))
