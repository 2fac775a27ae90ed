"""Annotated pictures as the tensors that segmentation and detection learn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.data.annotation import Instance, Picture, Target
from metalab.data.annotations_out import IGNORED, class_mask
from metalab.data.archives import Note
from metalab.errors import DataError
from metalab.tasks import Examples

LEAST_SIDE = 1.0
"""Pixels of the resized picture: smaller boxes are not seen."""


def targets(pictures: Sequence[Picture], classes: Sequence[str], size: int, kind: Target) -> Tensor:
    """Return what ``pictures`` say of ``classes`` when they are resized to ``size``.

    "masks": (n, size, size) int64, 0 the ground, 1 + the number of the class, -1 what does not count.
    "boxes": (n, most, 5) float, number of the class or -1, then x1, y1, x2, y2. Raises :class:`DataError`.
    """
    return _masks(pictures, classes, size) if kind == "masks" else _boxes(pictures, classes, size)


def _masks(pictures: Sequence[Picture], classes: Sequence[str], size: int) -> Tensor:
    rows = []
    for picture in pictures:
        if bare := next((i for i in picture.instances if i.mask is None and i.label in classes), None):
            raise DataError(
                f"{bare.label!r} has a box but no mask",
                where=picture.name,
                fix="Segmentation needs masks; use detection for boxes",
            )
        values = torch.from_numpy(class_mask(picture, classes).astype(np.int64))[None, None]
        values = torch.where(values == IGNORED, -1, values).float()
        rows.append(F.interpolate(values, (size, size), mode="nearest-exact")[0, 0].long())
    return torch.stack(rows)


def _boxes(pictures: Sequence[Picture], classes: Sequence[str], size: int) -> Tensor:
    rows = [list(_scaled(picture, classes, size)) for picture in pictures]
    most = max(1, *map(len, rows)) if rows else 1
    y = torch.zeros(len(rows), most, 5)
    y[..., 0] = -1
    for row, found in zip(y, rows, strict=True):
        if found:
            row[: len(found)] = torch.tensor(found)
    return y


def _scaled(picture: Picture, classes: Sequence[str], size: int):
    height, width = picture.image.shape[:2]
    scale = np.array([size / width, size / height] * 2)
    for instance in picture.instances:
        box = np.array(instance.box) * scale
        if instance.label in classes and min(box[2] - box[0], box[3] - box[1]) >= LEAST_SIDE:
            yield [float(classes.index(instance.label)), *box.tolist()]


def unseen(pictures: Sequence[Picture], classes: Sequence[str], size: int, kind: Target) -> list[Note]:
    """Return a note of each picture whose objects are too small to be seen when it is resized to ``size``."""
    found = []
    for picture in pictures:
        height, width = picture.image.shape[:2]
        sides = [
            min((x2 - x1) * size / width, (y2 - y1) * size / height)
            for x1, y1, x2, y2 in (one.box for one in picture.instances if one.label in classes)
        ]
        if small := sum(side < LEAST_SIDE for side in sides):
            count = "1 object is" if small == 1 else f"{small} objects are"
            words = f"{count} less than {LEAST_SIDE:g} pixel wide or high in {size}×{size} pixels"
            found.append(Note(picture.name, words, "skipped" if kind == "boxes" else "warning"))
    return found


def as_picture(name: str, image: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Picture:
    """Return ``image`` (H, W, 3) with an instance for each class: ``labels`` (H, W) holds 1 + its number."""
    instances = []
    for number, label in enumerate(classes, 1):
        mask = labels == number
        if mask.any():
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
            instances.append(Instance(label, box, mask))
    return Picture(name, image, instances)


def pictures_of(part: Examples, classes: Sequence[str], name: str = "picture") -> list[Picture]:
    """Return examples of a task, with masks (n, height, width) or boxes (n, most, 5), as pictures."""
    images = (part.x * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    found = []
    for number, (image, y) in enumerate(zip(images, part.y.cpu().numpy(), strict=True), 1):
        if not part.y.is_floating_point():
            found.append(as_picture(f"{name} {number}", image, y, classes))
            continue
        held = [Instance(classes[int(row[0])], tuple(map(float, row[1:]))) for row in y if row[0] >= 0]
        found.append(Picture(f"{name} {number}", image, held))
    return found
