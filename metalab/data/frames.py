"""From the pixels that annotations count in to those of the picture kept: it may be reduced and turned."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from metalab.data.decoding import FORMATS, ORIENTATION
from metalab.errors import DataError

# What a camera's orientation does to a stored picture: swap the axes, then mirror x, then mirror y.
TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}
SIDE = 1_000_000  # pixels; annotations that state more are mistaken
TOLERANCE = 0.02  # by which two sizes may differ in shape and still show the same picture

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """Maps annotations of a picture of ``size`` (width, height) onto the picture kept, ``shape`` (H, W).

    ``turn`` is the camera's orientation, 1 to 8, when the annotations count in the picture as stored.
    """

    size: tuple[int, int]
    shape: tuple[int, int]
    turn: int = 1

    def points(self, points: np.ndarray) -> np.ndarray:
        """Return ``points`` (N, 2), x and y in the annotations' pixels, in pixels of the picture kept."""
        swap, flip_x, flip_y = TURNS[self.turn]
        width, height = self.size
        if swap:
            points, width, height = points[:, ::-1], height, width
        points = np.where((flip_x, flip_y), np.array((width, height)) - points, points)
        return points * (self.shape[1] / width, self.shape[0] / height)

    def box(self, box: Box) -> Box:
        """Return ``box`` (x1, y1, x2, y2) within the picture in pixels of the picture kept."""
        corners = self.points(np.array(box, np.float64).reshape(2, 2))
        corners = corners.clip(0, self.shape[::-1])  # rounding may lead out by a hair
        (x1, y1), (x2, y2) = corners.min(0).tolist(), corners.max(0).tolist()
        return x1, y1, x2, y2

    def sample(self, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and columns of a raster of ``size`` (width, height) that lie under the pixels kept.

        They broadcast to (H, W). The raster may be finer or coarser than the annotations' own size.
        """
        swap, flip_x, flip_y = TURNS[self.turn]
        across, down = size[::-1] if swap else size
        x = ((np.arange(self.shape[1]) + 0.5) * across / self.shape[1]).astype(np.int64)
        y = ((np.arange(self.shape[0]) + 0.5) * down / self.shape[0]).astype(np.int64)
        x = across - 1 - x if flip_x else x
        y = down - 1 - y if flip_y else y
        return (x[None, :], y[:, None]) if swap else (y[:, None], x[None, :])

    def raster(self, raster: np.ndarray) -> np.ndarray:
        """Return ``raster`` (h, w) as it lies on the picture kept, (H, W): each pixel's nearest value."""
        return raster[self.sample((raster.shape[1], raster.shape[0]))]


def alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Say whether two sizes have the same shape, but for rounding."""
    across, down = one[0] * other[1], one[1] * other[0]
    return abs(across - down) <= TOLERANCE * max(across, down) + 1


def frame_of(
    content: bytes, shape: tuple[int, int], stated: tuple[int, int] | None, where: str
) -> tuple[Frame, str]:
    """Return the frame of a decoded picture of ``shape`` (H, W), and what was guessed ("" for nothing).

    ``content`` is its file and ``stated`` the (width, height) that its annotations name, if they do. Raises
    :class:`DataError` when that is another shape than the picture's.
    """
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        stored, turn = image.size, _orientation(image, content)
    upright = (stored[1], stored[0]) if turn > 4 else stored
    if stated is None or stated == upright:
        guessed = turn > 1 and (stated is None or stored == upright)
        words = "turned by its camera; its annotations are taken to count in the upright picture"
        return Frame(upright, shape), words if guessed else ""
    if stated == stored:
        return Frame(stored, shape, turn), ""
    said = f"is {upright[0]}×{upright[1]} pixels, its annotations say {stated[0]}×{stated[1]}"
    if alike(stated, upright):
        return Frame(stated, shape), f"{said}; they are scaled"
    raise DataError(said, where=where, fix="Give the picture that was annotated")


def _orientation(image: Image.Image, content: bytes) -> int:
    """Return 1 to 8. TIFF turns by itself; looking for one in a PNG that has none would decode it again."""
    if image.format == "TIFF" or not (b"Exif" in content or b"eXIf" in content):
        return 1
    try:
        turn = int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged notes of a camera do not make the picture unusable
        return 1
    return turn if turn in TURNS else 1
