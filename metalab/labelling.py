"""Pictures labelled by hand on a page: brush strokes and boxes in, annotated pictures out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from metalab.data.annotation import INSTANCES, Instance, Picture
from metalab.data.labelled import Target, as_picture
from metalab.errors import DataError

ERASER = -1
"""Class number of a stroke that takes away."""
STROKES, POINTS = 2000, 20_000
"""Of one picture, and of one stroke, at most."""
WIDEST = 0.5
"""Width of a brush as a share of the picture's longer side, at most."""
LEAST = 2.0
"""Side of a box in pixels, at least."""
AGAIN = "Clear the picture and label it again"


def mask_of(strokes: object, shape: tuple[int, int], way: int) -> NDArray[np.uint8]:
    """Return class numbers (H, W), 0 for the ground and 1 + the class, of brush ``strokes``.

    Each is [class, width, [[x, y], ...]]: -1 erases, the width is a share of the longer side, points are in
    0..1 of the picture. Later strokes paint over earlier ones. Raises :class:`DataError`.
    """
    height, width = shape
    image = Image.new("L", (width, height))
    pen = ImageDraw.Draw(image)
    for number, share, line in map(_stroke, _list(strokes, STROKES, "strokes")):
        if not ERASER <= number < way:
            continue  # of a class that was taken away
        wide = max(1.0, share * max(shape))
        places = [tuple(place) for place in (line * [width, height] - 0.5).tolist()]
        colour, half = (0 if number == ERASER else number + 1), wide / 2
        pen.line(places, fill=colour, width=round(wide), joint="curve")
        for x, y in places:  # round ends, and round corners where the brush turned sharply
            pen.ellipse((x - half, y - half, x + half, y + half), fill=colour)
    return np.asarray(image, dtype=np.uint8)


def boxes_of(boxes: object, shape: tuple[int, int], classes: Sequence[str]) -> list[Instance]:
    """Return the objects of ``boxes``, each [class, x, y, x, y]: two opposite corners in 0..1.

    What is thinner than two pixels is no box, and left out. Raises :class:`DataError`.
    """
    height, width = shape
    found = []
    for box in _list(boxes, INSTANCES, "boxes"):
        values = _numbers(box, 5)
        number = _class(values[0])
        places = _inside(np.array(values[1:]))
        (x1, x2), (y1, y2) = (sorted(places[i::2].tolist()) for i in (0, 1))
        corners = (x1 * width, y1 * height, x2 * width, y2 * height)
        if 0 <= number < len(classes) and min(corners[2] - corners[0], corners[3] - corners[1]) >= LEAST:
            found.append(Instance(classes[number], corners))
    return found


def labelled(
    name: str, image: np.ndarray, drawn: Mapping[str, Any], classes: Sequence[str], kind: Target
) -> Picture:
    """Return ``image`` (H, W, 3) with what was ``drawn`` on it: {"strokes": ...} or {"boxes": ...}.

    Raises :class:`DataError` naming the picture.
    """
    try:
        if kind == "boxes":
            return Picture(name, image, boxes_of(drawn.get("boxes", []), image.shape[:2], classes))
        numbers = mask_of(drawn.get("strokes", []), image.shape[:2], len(classes))
    except DataError as error:
        raise DataError(error.what, where=name, fix=error.fix) from None
    return as_picture(name, image, numbers, classes)


def class_names(text: str) -> list[str]:
    """Return the class names in ``text``, separated by commas; raises :class:`DataError`."""
    names = [part.strip()[:40] for part in text.split(",") if part.strip()]
    if not names:
        raise DataError("there is no class name", where="Classes", fix="Name what is to be found: cat, dog")
    if len(names) > 9:
        raise DataError(f"{len(names)} classes, at most 9", where="Classes", fix="Use fewer")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"{twice!r} is there twice", where="Classes", fix="Give each class a name of its own")
    return names


def require_labels(pictures: Sequence[Picture], classes: Sequence[str]) -> None:
    """Raise :class:`DataError` for a class of which no picture shows anything."""
    shown = {one.label for picture in pictures for one in picture.instances}
    if missing := [name for name in classes if name not in shown]:
        words = ", ".join(map(repr, missing))
        raise DataError(f"nothing is labelled as {words} yet", fix="Label one such object, or drop the class")


def _list(value: object, most: int, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise DataError(f"{what} are no list", fix=AGAIN)
    if len(value) > most:
        raise DataError(f"{len(value)} {what}, at most {most}", fix=AGAIN)
    return value


def _stroke(value: object) -> tuple[int, float, NDArray[np.float64]]:
    """Return a stroke's class, width and points (n, 2)."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise DataError("a stroke that is not a class, a width and points", fix=AGAIN)
    number, share = _numbers(value[:2], 2)
    line = np.array([_numbers(point, 2) for point in _list(value[2], POINTS, "points of a stroke")])
    if not 0 < share <= WIDEST or not len(line):
        raise DataError("a stroke without points, or of no possible width", fix=AGAIN)
    return _class(number), share, _inside(line)


def _class(number: float) -> int:
    if number != int(number) or not ERASER <= number < 1000:
        raise DataError(f"{number:g} is no class", fix=AGAIN)
    return int(number)


def _inside(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``places``; raises :class:`DataError` for any clearly outside of the picture."""
    if (np.abs(places - 0.5) > 1).any():
        raise DataError("something is drawn outside of the picture", fix=AGAIN)
    return places.clip(0, 1)


def _numbers(value: object, count: int) -> list[float]:
    held = list(value) if isinstance(value, list | tuple) else []
    plain = [float(one) for one in held if isinstance(one, int | float) and abs(one) < 1e6]
    if len(held) != count or len(plain) != count or not all(map(math.isfinite, plain)):
        raise DataError("what was drawn holds values that are no numbers", fix=AGAIN)
    return plain
