"""Annotated pictures as files that other programs read: COCO JSON, and palette PNGs of class numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin
from skimage.measure import find_contours

from metalab.data.annotation import Instance, Picture
from metalab.data.coco_masks import pack, runs_of
from metalab.data.frames import Frame
from metalab.data.masks import area, box_around, drawn
from metalab.errors import DataError

IGNORED = 255
MOST_CLASSES = 254  # numbers of one byte, without 0 for the background and 255 for what is ignored


def to_coco(pictures: Sequence[Picture], scores: Sequence[Sequence[float]] | None = None) -> dict[str, Any]:
    """Return ``pictures`` as COCO: a dict of images, annotations and categories, ready for ``json.dump``.

    Boxes are [x, y, width, height] in pixels. A mask becomes polygons where these give exactly its pixels,
    else packed run lengths. ``scores`` holds one number an instance, in the order of each picture's.
    What a picture ignores becomes a crowd of every class, since COCO ignores class by class. Raises
    :class:`DataError` when the scores do not fit the instances.
    """
    if scores is not None and [len(row) for row in scores] != [len(item.instances) for item in pictures]:
        raise DataError("not one score for each instance of each picture", where="scores")
    labels = sorted({instance.label for picture in pictures for instance in picture.instances})
    numbers = {label: k for k, label in enumerate(labels, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i, picture in enumerate(pictures):
        height, width = picture.image.shape[:2]
        images.append({"id": i + 1, "file_name": picture.name, "width": width, "height": height})
        held = [_entry(instance) for instance in picture.instances]
        if scores is not None:
            held = [{**entry, "score": float(score)} for entry, score in zip(held, scores[i], strict=True)]
        for entry, instance in zip(held, picture.instances, strict=True):
            annotations.append({**entry, "category_id": numbers[instance.label], "image_id": i + 1})
        if picture.ignore is not None and (box := box_around(picture.ignore)) is not None:
            crowd = _entry(Instance("", box, picture.ignore), crowd=True)
            annotations += [{**crowd, "category_id": k, "image_id": i + 1} for k in numbers.values()]
    for number, entry in enumerate(annotations, 1):
        entry["id"] = number
    categories = [{"id": number, "name": label} for label, number in numbers.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _entry(instance: Instance, crowd: bool = False) -> dict[str, Any]:
    x1, y1, x2, y2 = map(float, instance.box)
    entry: dict[str, Any] = {"bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": int(crowd)}
    if instance.mask is None:
        return {**entry, "area": area((x1, y1, x2, y2))}
    mask = instance.mask
    # Run lengths of a crowd are what evaluation programs expect.
    shape = None if crowd else _outlines(mask)
    shape = shape or {"size": list(mask.shape), "counts": pack(runs_of(mask))}
    return {**entry, "area": float(np.count_nonzero(mask)), "segmentation": shape}


def _outlines(mask: np.ndarray) -> list[list[float]] | None:
    """Return polygons [x, y, x, y, ...] of ``mask`` bool (H, W), None when they do not give it exactly."""
    polygons = []
    for contour in find_contours(np.pad(mask, 1).astype(np.uint8), 0.5):
        points = contour[:-1, ::-1] - 0.5  # the padding takes one off, the pixel's centre adds a half
        before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
        corners = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
        polygons.append(points[corners])
    try:  # a hole is filled by a polygon of its own, and very long outlines are refused
        same = np.array_equal(drawn(polygons, Frame((mask.shape[1], mask.shape[0]), mask.shape)), mask)
    except DataError:
        return None
    return [polygon.ravel().tolist() for polygon in polygons] if same else None


def class_mask(picture: Picture, classes: Sequence[str]) -> np.ndarray:
    """Return the class numbers of ``picture``'s masks, (H, W) uint8: ``classes[0]`` is 1, 0 is background.

    255 is ignored. Where objects overlap, the smaller one counts; other classes and mere boxes are left out.
    Raises :class:`DataError` for more than 254 classes.
    """
    if len(classes) > MOST_CLASSES:
        raise DataError(f"{len(classes)} classes, at most {MOST_CLASSES}", where="classes")
    numbers = {label: k for k, label in enumerate(classes, 1)}
    values = np.zeros(picture.image.shape[:2], np.uint8)
    if picture.ignore is not None:
        values[picture.ignore] = IGNORED
    masked = [item for item in picture.instances if item.mask is not None and item.label in numbers]
    for instance in sorted(masked, key=lambda item: -np.count_nonzero(item.mask)):
        values[instance.mask] = numbers[instance.label]
    return values


def mask_png(mask: np.ndarray, names: Sequence[str]) -> bytes:
    """Return class numbers ``mask``, (H, W) integers, as a palette PNG with a colour for each class.

    0 is background, k is ``names[k - 1]`` and 255 is ignored; the names are kept in the PNG's text
    "classes", a line each. Raises :class:`DataError` for other numbers, shapes, or more than 254 names.
    """
    if len(names) > MOST_CLASSES:
        raise DataError(f"{len(names)} classes, at most {MOST_CLASSES}", where="names")
    if mask.ndim != 2 or not mask.size or not np.issubdtype(mask.dtype, np.integer):
        words = f"{mask.dtype} of shape {mask.shape}, integers (H, W) are needed"
        raise DataError(words, where="mask")
    odd = (mask != IGNORED) & ((mask < 0) | (mask > len(names)))
    if odd.any():
        raise DataError(f"holds {mask[odd][0]}, there are {len(names)} classes", where="mask")
    image = Image.fromarray(mask.astype(np.uint8))
    image.putpalette(_palette().tobytes())
    text = PngImagePlugin.PngInfo()
    text.add_itxt("classes", "\n".join(" ".join(name.splitlines()) for name in names))
    held = io.BytesIO()
    image.save(held, "PNG", pnginfo=text)
    return held.getvalue()


def _palette() -> np.ndarray:
    """Return Pascal VOC's colours (256, 3) uint8: the number's bits are dealt to red, green and blue."""
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.int64)
    for place in range(8):
        for channel in range(3):
            if 3 * place + channel < 8:
                colours[:, channel] |= (numbers >> (3 * place + channel) & 1) << (7 - place)
    return colours.astype(np.uint8)
