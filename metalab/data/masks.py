"""Masks from outlines and from PNGs of class numbers, and the boxes around them."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from metalab.data.archives import Limits
from metalab.data.frames import Box, Frame
from metalab.errors import DataError

POINTS = 20_000  # of one object's outline
FARTHEST = 1e6  # pixels beyond which a coordinate is a mistake; it would overflow further on
EDGES = 2048  # drawn at a time, which bounds the memory


def drawn(polygons: Sequence[np.ndarray], frame: Frame) -> np.ndarray:
    """Return the union of ``polygons``, each (N, 2) x and y, as a mask bool (H, W) in ``frame``.

    A pixel belongs to a polygon that holds its centre. Raises :class:`DataError` for coordinates far outside.
    """
    mask = np.zeros(frame.shape, bool)
    if sum(len(polygon) for polygon in polygons) > POINTS:
        raise DataError(f"has an outline of more than {POINTS} points")
    for polygon in polygons:
        if not (np.abs(polygon) <= FARTHEST).all():  # false for NaN too
            raise DataError("has an outline of numbers that are no positions")
        mask |= _filled(frame.points(polygon), frame.shape)
    return mask


def _filled(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the even-odd inside of an outline: each row's pixels change sides where an edge crosses it."""
    mask = np.zeros(shape, bool)
    # The first pixel whose centre lies right of, or below, each point.
    cells = np.ceil(points - 0.5).clip(0, shape[::-1]).astype(np.int64)
    (left, top), (right, bottom) = cells.min(0), cells.max(0)
    across = right - left + 1
    crossings = np.zeros((bottom - top) * across, np.int64)
    ends, end_cells = np.roll(points, -1, axis=0), np.roll(cells, -1, axis=0)
    for i in range(0, len(points), EDGES):
        part = slice(i, i + EDGES)
        # Rows whose centre lies between the ends; half open, so that a shared end counts once.
        first = np.minimum(cells[part, 1], end_cells[part, 1])
        spans = np.maximum(cells[part, 1], end_cells[part, 1]) - first
        edge = np.repeat(np.arange(len(first)), spans)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(spans) - spans, spans) + first[edge]
        (x1, y1), (x2, y2) = points[part][edge].T, ends[part][edge].T
        x = x1 + (row + 0.5 - y1) * (x2 - x1) / (y2 - y1)
        column = np.ceil(x - 0.5).clip(left, right).astype(np.int64)
        crossings += np.bincount((row - top) * across + column - left, minlength=len(crossings))
    sides = np.cumsum(crossings.reshape(bottom - top, across), axis=1)
    mask[top:bottom, left:right] = sides[:, :-1] % 2 == 1
    return mask


def box_around(mask: np.ndarray) -> Box | None:
    """Return the box (x1, y1, x2, y2) of ``mask`` bool (H, W), None when it is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def area(box: Box) -> float:
    """Return the area of ``box`` in pixels."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union, 0 to 1."""
    shared = area(
        (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
    )
    return shared / ((area(one) + area(other) - shared) or math.inf)


def read_numbers(content: bytes, where: str, limits: Limits) -> np.ndarray:
    """Return the numbers in a palette or greyscale PNG, (H, W) integers: a palette's colours do not count.

    Raises :class:`DataError` for what is no such PNG.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.width * image.height > limits.pixels:
                most = f"at most {limits.pixels / 1e6:.0f} million"
                words = f"{image.width}×{image.height} pixels, {most}"
                raise DataError(words, where=where, fix="Shrink it")
            values = np.asarray(image)
    except DataError:
        raise
    except Exception as error:  # damaged bytes make the reader raise almost anything
        words = f"not a readable PNG mask ({type(error).__name__})"
        raise DataError(words, where=where, fix="Replace or remove it") from None
    if values.ndim == 3 and values.shape[2] == 2:  # grey and opacity
        values = values[..., 0]
    if values.ndim == 3:
        if (values[..., :1] != values[..., :3]).any():
            fix = "Save it as a palette or greyscale PNG"
            raise DataError("a mask of colours, not of class numbers", where=where, fix=fix)
        values = values[..., 0]
    return values.astype(np.uint8) if values.dtype == bool else values
