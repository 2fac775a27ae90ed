"""Drawings as fields of distances to their ink, and what hands do to them: warps and stroke widths.

An Omniglot drawing is a pen line of constant width. Its Euclidean distance field says the same, is smooth (so
it can be warped and resized without jagged lines), and turns back into ink of any width.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor

FIELD = 64
"""Side of a stored field: every second pixel of a drawing of 105 in the middle of a paper of 128."""
MARGIN = ((12, 11), (12, 11))
"""Paper around a drawing, so that nothing is cut off when it is warped, and no line smears at the border."""
FAR = 16.0
"""Distances are cut off here, in pixels of the drawing."""
SPREAD = 0.6
"""Standard deviation of the ink around its centre once normalised, where the view reaches from -1 to 1."""


class Strokes(NamedTuple):
    """Distance fields (n, 1, 64, 64) in pixels of the drawing, and the place of the ink (n, 3): centre x,
    centre y, spread, where the paper reaches from -1 to 1."""

    fields: Tensor
    places: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Strokes:  # type: ignore[override]
        return Strokes(self.fields[rows], self.places[rows])


def strokes(ink: np.ndarray) -> Strokes:
    """Return the :class:`Strokes` of drawings ``ink`` (n, 105, 105) bool, none of them blank."""
    fields, places = [], []
    for drawing in ink:
        paper = np.pad(drawing, MARGIN)
        distance = np.minimum(distance_transform_edt(~paper), FAR).astype(np.float32)
        fields.append(distance.reshape(FIELD, 2, FIELD, 2).mean((1, 3)))
        rows, columns = np.nonzero(paper)
        x, y = (columns + 0.5) / FIELD - 1, (rows + 0.5) / FIELD - 1
        places.append((x.mean(), y.mean(), math.sqrt(x.var() + y.var())))
    return Strokes(torch.from_numpy(np.stack(fields)).unsqueeze(1), torch.tensor(places, dtype=torch.float32))


class Warp(NamedTuple):
    """How a hand changes a drawing; each (n,): turn in radians, logarithms of the stretch of x and of y,
    shear, shift of x and y (1: half the view), logarithm of the pen's width, and 1 where it is mirrored.
    ``bend`` (n, 2, 5, 5) is a coarse elastic shift."""

    turn: Tensor
    stretch_x: Tensor
    stretch_y: Tensor
    shear: Tensor
    shift_x: Tensor
    shift_y: Tensor
    pen: Tensor
    mirrored: Tensor
    bend: Tensor | None = None


def still(n: int) -> Warp:
    """Return the warp of ``n`` drawings that changes nothing."""
    zero = torch.zeros(n)
    return Warp(zero, zero, zero, zero, zero, zero, zero, zero)


def hand(n: int, generator: torch.Generator, strength: float = 1.0, bend: float = 0.06) -> Warp:
    """Draw ``n`` random warps, as between two hands; ``strength`` scales the affine part, ``bend`` the
    elastic one."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(n, *shape, generator=generator)

    turn, stretch_x, stretch_y, shear = (
        strength * deviation * normal().clamp(-2, 2) for deviation in (0.16, 0.13, 0.13, 0.16)
    )
    shift_x, shift_y = strength * 0.07 * normal(), strength * 0.07 * normal()
    pen = (0.5 * normal() - 0.1).clamp(-0.9, 0.8)
    elastic = bend * torch.exp(0.4 * normal()).view(n, 1, 1, 1) * normal(2, 5, 5)
    return Warp(turn, stretch_x, stretch_y, shear, shift_x, shift_y, pen, torch.zeros(n), elastic)


class Layout(NamedTuple):
    """Where the two parts of a composed character lie, each (n,): quarter turns of the parts, logarithms of
    the factor by which they shrink, and how far the first lies from the middle, to the right and down (the
    second lies opposite)."""

    turn_a: Tensor
    turn_b: Tensor
    shrink_a: Tensor
    shrink_b: Tensor
    right: Tensor
    down: Tensor


def layout(turn_a: Tensor, turn_b: Tensor, generator: torch.Generator) -> Layout:
    """Draw random layouts for parts with these quarter turns (n,): side by side or one below the other."""
    n = len(turn_a)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    along = uniform(0.15, 0.5) * torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    beside = (uniform(0, 1) < 0.5).float()
    return Layout(turn_a, turn_b, uniform(0.1, 0.7), uniform(0.1, 0.7), along * beside, along * (1 - beside))


def compose(a: Strokes, b: Strokes, plan: Layout, generator: torch.Generator) -> Strokes:
    """Return new characters (n), each of the ink of ``a`` and of ``b``, placed about as ``plan`` says.

    A character has parts, and new characters combine known parts anew: so a few alphabets give many
    characters, some of them alike but for one part (cf. the programs of Lake et al. 2015).
    """
    n = len(a.fields)

    def placed(part: Strokes, turn: Tensor, shrink: Tensor, sign: int) -> Tensor:
        jitter = 0.04 * torch.randn(3, n, generator=generator)
        scale = (part.places[:, 2] / SPREAD).clamp(0.25, 1.1) * torch.exp(shrink + jitter[0])
        angle = turn * (math.pi / 2)
        cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
        x, y = jitter[1] - sign * plan.right, jitter[2] - sign * plan.down
        row_x = torch.stack([cos, -sin, part.places[:, 0] + cos * x - sin * y], -1)
        row_y = torch.stack([sin, cos, part.places[:, 1] + sin * x + cos * y], -1)
        grid = F.affine_grid(torch.stack([row_x, row_y], 1), [n, 1, FIELD, FIELD], align_corners=False)
        moved = F.grid_sample(part.fields, grid, padding_mode="border", align_corners=False)
        return moved / scale.view(n, 1, 1, 1)

    fields = torch.minimum(
        placed(a, plan.turn_a, plan.shrink_a, 1), placed(b, plan.turn_b, plan.shrink_b, -1)
    )
    ink = torch.sigmoid(2 - fields).squeeze(1)
    ink = ink / ink.sum((1, 2), keepdim=True)
    axis = (torch.arange(FIELD) + 0.5) * 2 / FIELD - 1
    columns, rows = ink.sum(1), ink.sum(2)
    x, y = (columns * axis).sum(1), (rows * axis).sum(1)
    variance = (columns * axis.square()).sum(1) - x.square() + (rows * axis.square()).sum(1) - y.square()
    return Strokes(fields, torch.stack([x, y, variance.sqrt()], 1))


def render(drawings: Strokes, warp: Warp, size: int) -> Tensor:
    """Return images (n, 1, size, size) in 0..1, ink = 1, of ``drawings`` seen through ``warp``.

    Place and size of the ink are normalised first: the centre of the view is the ink's centre of gravity, and
    the ink's standard deviation :data:`SPREAD`: they say next to nothing
    about a character. The width of the pen stays the same whatever the scale.
    """
    n = len(drawings.fields)
    scale = (drawings.places[:, 2] / SPREAD).clamp(0.25, 1.1)
    cos, sin = torch.cos(warp.turn), torch.sin(warp.turn)
    x, y = torch.exp(warp.stretch_x) * (1 - 2 * warp.mirrored), torch.exp(warp.stretch_y)
    row_x = torch.stack([cos * x, (cos * warp.shear - sin) * y, warp.shift_x], -1) * scale[:, None]
    row_y = torch.stack([sin * x, (sin * warp.shear + cos) * y, warp.shift_y], -1) * scale[:, None]
    affine = torch.stack([row_x, row_y], 1)
    affine[:, :, 2] += drawings.places[:, :2]
    grid = F.affine_grid(affine, [n, 1, size, size], align_corners=False)
    if warp.bend is not None:
        bend = F.interpolate(warp.bend, size=(size, size), mode="bicubic", align_corners=True)
        grid = grid + bend.movedim(1, -1) * scale.view(n, 1, 1, 1)
    distance = F.grid_sample(drawings.fields, grid, padding_mode="border", align_corners=False)
    pixel = 2 * FIELD / size
    width = 0.75 * pixel * torch.exp(warp.pen).view(n, 1, 1, 1)
    return torch.sigmoid((width - distance / scale.view(n, 1, 1, 1)) / (0.35 * pixel))
