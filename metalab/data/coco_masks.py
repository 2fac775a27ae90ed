"""COCO's segmentations: polygons, run lengths, and run lengths packed into a string."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from metalab.data.frames import SIDE, Frame
from metalab.data.masks import drawn
from metalab.errors import DataError


def is_side(value: object) -> bool:
    """Say whether ``value`` is a usable number of pixels."""
    return type(value) is int and 0 < value <= SIDE


def is_number(value: object) -> bool:
    """Say whether ``value`` is a finite number that a float can hold."""
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 2**53)


def raster_of(shape: object) -> tuple[int, int] | None:
    """Return the (width, height) that run lengths count in, None for polygons and what is broken."""
    size = shape.get("size") if isinstance(shape, dict) else None
    if isinstance(size, list) and len(size) == 2 and all(map(is_side, size)):
        return size[1], size[0]
    return None


def draw_segmentation(shape: object, frame: Frame) -> np.ndarray:
    """Return a ``segmentation`` of any kind as a mask bool (H, W) in ``frame``.

    Raises :class:`DataError` for what is neither polygons nor run lengths.
    """
    if isinstance(shape, list):
        return drawn([_polygon(numbers) for numbers in shape], frame)
    if not isinstance(shape, dict):
        raise DataError("is neither polygons nor run lengths")
    size, counts = raster_of(shape), shape.get("counts")
    if size is None:
        raise DataError("has a size that is not height and width")
    if not isinstance(counts, str | list):
        raise DataError("has counts that are neither numbers nor a packed mask")
    return from_runs(unpack(counts) if isinstance(counts, str) else counts, size, frame)


def _polygon(numbers: object) -> np.ndarray:
    if not isinstance(numbers, list) or len(numbers) < 6 or len(numbers) % 2:
        raise DataError("is not of polygons with three points or more, x and y of each")
    if not all(map(is_number, numbers)):
        raise DataError("has a point that is not of finite numbers")
    return np.array(numbers, np.float64).reshape(-1, 2)


def unpack(packed: str) -> list[int]:
    """Return the run lengths of a COCO string: 6 bits a letter, each from the third on as a difference.

    Raises :class:`DataError` when it is none.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in packed:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise DataError("is no packed mask")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)  # the sign bit of the last letter
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    if shift:
        raise DataError("is a packed mask that ends too early")
    return counts


def pack(counts: Sequence[int]) -> str:
    """Return run lengths as a COCO string; the inverse of :func:`unpack`."""
    letters = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            letters.append(chr(48 + bits + 32 * more))
    return "".join(letters)


def runs_of(mask: np.ndarray) -> list[int]:
    """Return the run lengths of ``mask`` bool (H, W), down the columns, the first of background."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat != np.concatenate([[False], flat[:-1]]))
    return np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()


def from_runs(counts: Sequence[int], size: tuple[int, int], frame: Frame) -> np.ndarray:
    """Return run lengths over a raster of ``size`` (width, height) as a mask bool (H, W) in ``frame``.

    Only the pixels kept are looked up, however large the raster. Raises :class:`DataError` when the lengths
    do not fill it.
    """
    total = size[0] * size[1]
    if any(type(count) is not int or not 0 <= count <= total for count in counts) or sum(counts) != total:
        raise DataError(f"has run lengths that do not fill {size[0]}×{size[1]} pixels")
    rows, columns = frame.sample(size)
    return np.searchsorted(np.cumsum(counts), columns * size[1] + rows, side="right") % 2 == 1
