"""The side to which own pictures are resized: their objects are then as large as in meta-training."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from scipy import ndimage

from metalab.data.annotation import Instance, Picture

SIZE = 128
"""Side to which own pictures are resized where nothing is known of their objects."""
SIZES = (64, 256)
"""Least and largest side to which own pictures are resized; both are multiples of 16."""
OBJECT = 28.0
"""Side in pixels of objects in meta-training; with objects twice as large, detection finds hardly any."""


def fitting_size(pictures: Sequence[Picture], classes: Collection[str]) -> int:
    """Return the side at which the typical object of ``classes`` is as large as in meta-training."""
    shares = [
        share for picture in pictures for one in picture.instances if one.label in classes
        for share in _shares(one, picture.image.shape[:2])
    ]  # fmt: skip
    if not shares:
        return SIZE
    side = OBJECT / max(float(np.median(shares)), 1e-6)
    return min(max(16 * round(side / 16), SIZES[0]), SIZES[1])


def _shares(one: Instance, shape: tuple[int, ...]) -> list[float]:
    """Return the side of each part of ``one``, as a share of the picture's: a mask may hold many objects."""
    boxes = [one.box]
    if one.mask is not None:
        parts, _ = ndimage.label(one.mask)
        counts = np.bincount(parts.ravel(), minlength=2)[1:]
        held = zip(ndimage.find_objects(parts), counts, strict=False)
        crumb = 0.1 * counts.max()
        boxes = [(x.start, y.start, x.stop, y.stop) for (y, x), count in held if count >= crumb]
    return [math.sqrt((x2 - x1) * (y2 - y1) / (shape[0] * shape[1])) for x1, y1, x2, y2 in boxes]
