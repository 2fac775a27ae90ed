"""Finding things in new pictures with an adapted model, and taking model and results away."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from pages.collect import kinds
from pages.common import download, errors_in_place
from pages.pictureshow import cards

if TYPE_CHECKING:
    from metalab.picture_model import PictureModel, Prediction

LEAST = 0.05
"""Boxes are looked for down to this confidence; the slider hides some of them again."""
MOST = 20


@st.cache_resource(show_spinner="Looking …", max_entries=64)
def searched(key: str, name: str, digest: str, _model: PictureModel, _content: bytes) -> Prediction:
    """Return what the model finds in an uploaded file; once, for all reruns. Raises :class:`DataError`."""
    from metalab.data.reading import decode

    return _model.predict([decode(_content, name)], [name], LEAST)[0]


def new_pictures(key: str, model: PictureModel, least: float) -> list[Prediction]:
    """Let the user bring new pictures, show what is found in each, and return it."""
    from metalab.own_pictures import surer

    files = st.file_uploader("New pictures", type=kinds(), accept_multiple_files=True, key=f"new-{key}")
    found = []
    for file in files[:MOST]:
        with errors_in_place():
            content = file.getvalue()
            digest = hashlib.sha256(content).hexdigest()
            found.append(surer(searched(key, file.name, digest, model, content), least))
    if len(files) > MOST:
        st.caption(f"The first {MOST} of {len(files)} are shown.")
    if found:
        cards([[(one.picture.name, one.picture, one.scores)] for one in found], model.classes, f"new-{key}")
    return found


def take_away(model: PictureModel, found: Sequence[Prediction]) -> None:
    """Offer the model, what it found, and a script that uses it."""
    from metalab.own_pictures import SCRIPT, results_zip

    masks = model.application == "segmentation"
    row = st.columns(4)
    download(
        row[0],
        "Download the model",
        model.to_bytes,
        "model.safetensors",
        icon=":material/download:",
        width="stretch",
        help="One safetensors file with weights and class names: `metalab.load` reads it.",
    )
    download(
        row[1],
        "Download the results",
        lambda: results_zip(found, model.classes, masks),
        "results.zip",
        icon=":material/folder_zip:",
        width="stretch",
        disabled=not found,
        help="COCO JSON with a confidence for each object"
        + (", and a PNG mask a picture." if masks else "."),
    )
    download(
        row[2],
        "Download a script",
        SCRIPT,
        "find.py",
        icon=":material/code:",
        width="stretch",
        help="Loads the model and finds things in image files.",
    )
    download(
        row[3],
        "Download as ONNX",
        model.to_onnx,
        "model.onnx",
        icon=":material/deployed_code:",
        width="stretch",
        help="For any ONNX runtime, no metalab needed: raw pixels in, "
        + ("chances of each pixel out." if masks else "boxes out, overlapping ones left out."),
    )
    with st.expander("The script", icon=":material/code:"):
        st.code(SCRIPT, language="python")
