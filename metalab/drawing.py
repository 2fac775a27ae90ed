"""Drawings made by hand on a page: pen strokes in, the images that models are trained on out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from metalab.errors import DataError
from metalab.tasks import Examples

Stroke = Sequence[Sequence[float]]
"""The pen's way from down to up: points (x, y) in 0..1 from the upper left corner of the paper."""

FILL = 0.71
"""Share of the image that the longer side of a character fills, as in the embedded source on average."""
PEN = 0.06
"""Width of the pen as a share of the image; likewise."""
SMALLEST = 0.12
"""Extent below which a drawing is not enlarged further: a dot stays a dot."""
_FINE = 8
"""Pixels drawn per pixel of the image, along each side."""


def rasterise(strokes: Sequence[Stroke], size: int, channels: int = 1) -> NDArray[np.float32]:
    """Return ``strokes`` as an image (channels, size, size) in 0..1, light ink on dark.

    The drawing is centred and scaled, and the pen has one width however large somebody draws: as the
    embedded characters, which the shipped models know. With three channels it is dark ink on white paper.
    Raises :class:`DataError` for a drawing without ink or with values that are no finite numbers.
    """
    from PIL import Image, ImageDraw

    lines = [_points(stroke) for stroke in strokes if len(stroke)]
    if not lines:
        raise DataError("the drawing is empty", where="canvas", fix="Draw something")
    points = np.concatenate(lines)
    low, high = points.min(0), points.max(0)
    scale = FILL / max(float((high - low).max()), SMALLEST)
    side = size * _FINE
    width = max(1, round(PEN * side))
    image = Image.new("L", (side, side))
    pen = ImageDraw.Draw(image)
    for line in lines:
        places = ((line - (low + high) / 2) * scale + 0.5) * side
        pen.line([tuple(place) for place in places.tolist()], fill=255, width=width, joint="curve")
        for x, y in places.tolist():  # round ends, and round corners where the pen turned sharply
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    ink = np.asarray(image.resize((size, size), Image.Resampling.BOX), dtype=np.float32)[None] / 255
    return ink if channels == 1 else np.repeat(1 - ink, channels, axis=0)


def drawn_support(
    drawings: Mapping[str, Sequence[Sequence[Stroke]]], size: int, channels: int = 1
) -> tuple[Examples, list[str]]:
    """Return the support set drawn by hand, and the names of its classes in order.

    ``drawings`` maps each class to its drawings; empty ones are left out. Raises :class:`DataError` for
    fewer than two classes or a class without a drawing.
    """
    if len(drawings) < 2:
        raise DataError("a task needs at least two classes", where="canvas", fix="Add another class")
    images, labels = [], []
    for number, (name, held) in enumerate(drawings.items()):
        inked = [strokes for strokes in held if any(len(stroke) for stroke in strokes)]
        if not inked:
            raise DataError(f"class {name!r} has no drawing yet", where="canvas", fix="Draw one")
        images += [rasterise(strokes, size, channels) for strokes in inked]
        labels += [number] * len(inked)
    return Examples(torch.from_numpy(np.stack(images)), torch.tensor(labels)), list(drawings)


def _points(stroke: Stroke) -> NDArray[np.float64]:
    try:
        points = np.asarray(stroke, dtype=np.float64).reshape(len(stroke), 2)
    except (TypeError, ValueError):
        points = np.full((1, 2), math.nan)
    if not np.isfinite(points).all() or np.abs(points).max() > 10:
        raise DataError("a stroke has points that are no places on the paper", where="canvas", fix="Clear it")
    return points
