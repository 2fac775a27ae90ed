"""Trying an adapted model on new images, and taking it away."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from metalab import palette
from pages.collect import kinds
from pages.common import download, errors_in_place, thumb

if TYPE_CHECKING:
    from metalab.adaptation import AdaptedModel, Explanation
    from metalab.data.reading import ImageSet

NEAR = (
    "<style>.ml-near {display: flex; flex-wrap: wrap; gap: 8px} .ml-near figure {width: 84px; margin: 0}"
    ".ml-near img {width: 76px; border-radius: 4px} .ml-near figcaption {font-size: 13px; line-height: 1.3; "
    "overflow-wrap: anywhere}</style>"
)
"""How the nearest examples stand side by side, each over its class."""


def try_images(key: str, held: ImageSet, model: AdaptedModel) -> None:
    """Let the user bring new images and show what the model says of each, and why."""
    from metalab.data.reading import decode

    row = st.columns([3, 2])
    dropped = row[0].file_uploader("New images", type=kinds(), accept_multiple_files=True, key=f"try-{key}")
    shot = None
    if row[1].toggle("Camera", key="try-camera"):
        shot = row[1].camera_input("Take a picture", key="try-shot")
    files = [*dropped, *([shot] if shot is not None else [])]
    if not files and st.toggle("Use one of the examples", key="try-own", help="Only to see how it looks."):
        number = st.slider("Example", 1, len(held.images), 1, key="try-number") - 1
        answer(held.images[number], held, model)
    for file in files[:20]:
        with errors_in_place():
            answer(decode(file.getvalue(), file.name), held, model)
    if len(files) > 20:
        st.caption(f"The first 20 of {len(files)} are shown.")


def answer(image: np.ndarray, held: ImageSet, model: AdaptedModel) -> None:
    """Show one image with its prediction, where in it the class is seen, and the nearest examples."""
    told = model.explain(image)
    with st.container(border=True):
        left, middle, right = st.columns([1, 2, 2])
        left.image(overlay(image, told), caption="Bright: where the class is seen", width="stretch")
        middle.markdown(f"#### {told.label} · {told.probability:.0%}")
        threshold = model.confidence.threshold
        if threshold is not None and told.familiarity < threshold:
            # A caution, never instead of the answer: with few examples many a right one is unlike them.
            middle.caption(
                ":material/help: Unlike your examples: perhaps none of these classes.",
                help="The fewer and the more varied the examples, the more often this is said of an image "
                "that does belong. More examples of the class help.",
            )
        table = pd.DataFrame(
            {"Class": [str(name) for name in model.classes], "Probability": 100 * told.probabilities}
        )
        middle.dataframe(
            table.sort_values("Probability", ascending=False),
            hide_index=True,
            height=min(35 * len(table) + 38, 220),
            column_config={
                "Probability": st.column_config.ProgressColumn(format="%.0f %%", min_value=0, max_value=100)
            },
        )
        right.markdown("**Nearest examples**", help="By the cosine of features: 1 is the same direction.")
        near = [
            f"<figure>{thumb(small(held.images[one.number]), palette.OWN, str(one.label))}"
            f"<figcaption>{html.escape(str(one.label))}<br>{one.similarity:.2f}</figcaption></figure>"
            for one in told.neighbours
        ]
        right.html(f"{NEAR}<div class='ml-near'>{''.join(near)}</div>")


def small(image: np.ndarray) -> np.ndarray:
    """Return an image (H, W, 3) uint8 as a thumbnail (3, 72, 72) of floats in 0..1."""
    from metalab.preparation import thumbnail

    return thumbnail(image, 72)


def overlay(image: np.ndarray, told: Explanation) -> np.ndarray:
    """Return the image (H, W, 3) uint8, darkened where the class is not seen."""
    from metalab.preparation import stretched

    heat = stretched(told.heatmap, image.shape[:2])[..., None]
    return (image * (0.35 + 0.65 * heat)).astype(np.uint8)


def take_away(key: str, model: AdaptedModel) -> None:
    """Offer the model, an ONNX file, and a script that uses it."""
    from metalab.own import SCRIPT

    row = st.columns(3)
    download(
        row[0],
        "Download the model",
        model.to_bytes,
        "model.safetensors",
        icon=":material/download:",
        width="stretch",
        help="One safetensors file: weights, class names, preprocessing, and the examples as features and "
        "thumbnails, so that more can be added.",
    )
    download(
        row[1],
        "Download a script",
        SCRIPT,
        "predict.py",
        icon=":material/code:",
        width="stretch",
        help="Ten lines that load the model and classify image files.",
    )
    download(
        row[2],
        "Download as ONNX",
        model.to_onnx,
        "model.onnx",
        icon=":material/deployed_code:",
        width="stretch",
        help="For any ONNX runtime: raw pixels in, probabilities out, no metalab needed.",
    )
    st.code(SCRIPT, language="python")
    st.caption(
        "Keep the script beside the model. It imports metalab: with *M* for metalab's folder, run "
        "`PYTHONPATH=M M/.venv/bin/python predict.py IMAGE…`. Or serve the model from metalab's folder: "
        "`python -m metalab serve model.safetensors`. The ONNX file needs no metalab."
    )
