"""Pictures with masks or boxes as arrays of one's own, checked: what :func:`metalab.task_learning` takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from metalab.data.annotation import THIN, Instance, Picture, Target
from metalab.data.annotations_out import MOST_CLASSES
from metalab.data.labelled import as_picture
from metalab.errors import DataError


def labelled_arrays(images: Any, labels: Any, kind: Target, where: str) -> list[Picture]:
    """Return ``images``, (H, W) or (H, W, C) uint8 each, with their ``labels`` as pictures.

    "masks": (H, W) of class numbers, 0 the ground. "boxes": (k, 5) of class number, then x1, y1, x2, y2 in
    pixels. Classes are named by their numbers. Raises :class:`DataError` naming the entry of ``where``.
    """
    images, labels = _listed(images, "images"), _listed(labels, where)
    if len(images) != len(labels):
        raise DataError(f"{len(images)} pictures but {len(labels)} labels", where=where)
    found = []
    for number, (image, held) in enumerate(zip(images, labels, strict=True)):
        shown, place = coloured(image, f"image {number} of {where}"), f"{where}[{number}]"
        try:
            values = np.asarray(held, dtype=float)
        except (TypeError, ValueError) as error:
            raise DataError(f"not an array of numbers ({error})", where=place) from None
        add = _masked if kind == "masks" else _boxed
        found.append(add(f"picture {number + 1}", shown, values, place))
    return found


def coloured(image: Any, where: str = "image") -> np.ndarray:
    """Return an image (H, W) or (H, W, C) uint8 with three channels. Raises :class:`DataError`."""
    plain = np.asarray(image)
    plain = plain if plain.ndim == 3 else plain[..., None]
    if plain.ndim != 3 or not plain.size or plain.shape[2] not in (1, 3, 4) or plain.dtype.kind not in "buif":
        raise DataError(
            f"shape {np.shape(image)} is not that of an image", where=where, fix="Give (H, W) or (H, W, 3)"
        )
    return np.ascontiguousarray(np.broadcast_to(plain[..., :3], (*plain.shape[:2], 3)))


def _listed(held: Any, where: str) -> list[Any]:
    if not isinstance(held, Iterable) or isinstance(held, str | bytes | dict):
        raise DataError("no list", where=where, fix="Give a list with one entry a picture")
    return list(held)


def _whole(values: np.ndarray, least: int, where: str) -> np.ndarray:
    """Return class numbers as integers; raises where some are none."""
    if not np.isfinite(values).all() or (values != values.round()).any() or (values < least).any():
        raise DataError(f"a class number that is no whole number from {least} on", where=where)
    return values.astype(np.int64)


def _masked(name: str, image: np.ndarray, values: np.ndarray, where: str) -> Picture:
    if values.shape != image.shape[:2]:
        raise DataError(f"a mask of {values.shape}, the picture is {image.shape[:2]}", where=where)
    numbers = _whole(values, 0, where)
    classes = np.unique(numbers[numbers > 0])
    if len(classes) > MOST_CLASSES:
        raise DataError(f"a mask of {len(classes)} classes, {MOST_CLASSES} are the most", where=where)
    places = np.where(numbers > 0, np.searchsorted(classes, numbers) + 1, 0)
    return as_picture(name, image, places, [str(number) for number in classes])


def _boxed(name: str, image: np.ndarray, values: np.ndarray, where: str) -> Picture:
    if values.size and (values.ndim != 2 or values.shape[1] != 5):
        raise DataError(
            f"boxes of shape {values.shape}", where=where, fix="Give (k, 5): class, x1, y1, x2, y2"
        )
    boxes, (height, width) = values.reshape(-1, 5), image.shape[:2]
    numbers = _whole(boxes[:, 0], 0, where)
    found = []
    for i, (number, (x1, y1, x2, y2)) in enumerate(zip(numbers, boxes[:, 1:].tolist(), strict=True)):
        place, said = f"{where}[{i}]", f"({x1:g}, {y1:g}, {x2:g}, {y2:g})"
        if not np.isfinite(boxes[i]).all() or min(x2 - x1, y2 - y1) < THIN:
            raise DataError(
                f"a box without area: {said}", where=place, fix="Give x1 < x2 and y1 < y2, in pixels"
            )
        inside = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
        # Rounding leads out by less than a pixel; that is no mistake to report.
        if max(abs(a - b) for a, b in zip(inside, (x1, y1, x2, y2), strict=True)) > 1:
            raise DataError(
                f"a box that leaves the picture of {width}×{height} pixels: {said}",
                where=place,
                fix="Clip it, or leave it out",
            )
        found.append(Instance(str(number), inside))
    return Picture(name, image, found)
