"""Pictures with their masks and boxes drawn in: arrays, data URLs and figures for pages and notebooks."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont
from plotly.subplots import make_subplots
from scipy.ndimage import binary_erosion

from metalab.data.annotation import Instance, Picture
from metalab.palette import INK, class_colours
from metalab.plots import plain

SIDE = 384
"""Longer side of a picture as it is drawn: small ones are enlarged, so that lines stay thin."""
FILLED, LINE = 0.45, 3
"""How much of a mask's colour covers the picture, and the width of outlines and boxes in pixels."""

TOLD = 3
"""Scores of one class that are told in words; all stand at the boxes."""

RGB = NDArray[np.uint8]


def overlay(
    picture: Picture, classes: Sequence[str], scores: Sequence[float] | None = None, side: int = SIDE
) -> RGB:
    """Return ``picture`` (H, W, 3), its longer side ``side``, with the masks and boxes of ``classes``.

    ``scores`` (one an instance) stand at the boxes. Objects without a mask are drawn as boxes.
    """
    height, width = picture.image.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = np.asarray(Image.fromarray(picture.image).resize(size, Image.Resampling.BICUBIC))
    if picture.ignore is not None:
        image = _tinted(image, _resized(picture.ignore, size), INK)
    colours = dict(zip(classes, class_colours(len(classes)), strict=True))
    shown = [one for one in picture.instances if one.label in colours]
    for one in sorted((one for one in shown if one.mask is not None), key=lambda one: -_pixels(one)):
        image = _tinted(image, _resized(one.mask, size), colours[one.label])
    canvas = Image.fromarray(image)
    for number, one in enumerate(picture.instances):
        if one.mask is None and one.label in colours:
            said = "" if scores is None else f"{scores[number]:.0%}"
            _box(ImageDraw.Draw(canvas), one, scale, colours[one.label], said)
    return np.asarray(canvas)


def described(picture: Picture, scores: Sequence[float] | None = None) -> str:
    """Return in words what ``picture`` shows, with how sure that is: the text beside its image."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for number, one in enumerate(picture.instances):
        found[one.label].append("" if scores is None else f"{scores[number]:.0%}")
    parts = []
    for label, sure in found.items():
        count = f"{len(sure)} × " if len(sure) > 1 else ""
        told = ", ".join(sure[:TOLD]) + (" …" if len(sure) > TOLD else "")
        parts.append(f"{count}{label}" + (f" ({told})" if all(sure) else ""))
    return "; ".join(parts) or "nothing"


def data_url(image: RGB, quality: int = 88) -> str:
    """Return an image (H, W, 3) uint8 as a JPEG data URL."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def reduced(image: RGB, side: int) -> RGB:
    """Return ``image`` with no side longer than ``side``."""
    small = Image.fromarray(image)
    small.thumbnail((side, side), Image.Resampling.BILINEAR)
    return np.asarray(small)


def picture_grid(images: Sequence[RGB], titles: Sequence[str], columns: int = 2) -> go.Figure:
    """Draw ``images`` with a title each, row after row, e.g. before and after; each can be zoomed into."""
    rows = -(-len(images) // columns)
    figure = make_subplots(
        max(rows, 1), columns, subplot_titles=list(titles), horizontal_spacing=0.02, vertical_spacing=0.06
    )
    hidden: dict[str, Any] = {"visible": False}
    for number, image in enumerate(images):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        figure.add_trace(go.Image(source=data_url(image), hoverinfo="skip"), **place)
    figure.update_xaxes(**hidden)
    figure.update_yaxes(**hidden)
    return plain(figure, 60 + 300 * max(rows, 1))


def _pixels(one: Instance) -> int:
    return int(np.count_nonzero(one.mask))


def _resized(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def _tinted(image: RGB, mask: NDArray[np.bool_], colour: str) -> RGB:
    """Return ``image`` with the pixels of ``mask`` in part of ``colour``, and its edge wholly."""
    tone = np.array(ImageColor.getrgb(colour), np.float32)
    inner = binary_erosion(mask, iterations=LINE, border_value=1)
    share = np.where(inner, FILLED, 1.0)[..., None] * mask[..., None]
    return (image * (1 - share) + tone * share).astype(np.uint8)


def _box(pen: ImageDraw.ImageDraw, one: Instance, scale: float, colour: str, said: str) -> None:
    x1, y1, x2, y2 = (value * scale for value in one.box)
    x2, y2 = max(x2 - 1, x1 + 1), max(y2 - 1, y1 + 1)
    pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline="white", width=LINE + 2)  # seen on any ground
    pen.rectangle((x1, y1, x2, y2), outline=colour, width=LINE)
    if said:
        font = ImageFont.load_default(size=15)
        _, _, right, bottom = pen.textbbox((x1 + 6, y1 + 4), said, font=font)
        pen.rectangle((x1, y1, right + 6, bottom + 4), fill=colour)
        dark = sum(ImageColor.getrgb(colour)) > 400
        pen.text((x1 + 6, y1 + 4), said, fill="black" if dark else "white", font=font)
