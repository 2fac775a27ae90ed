"""Two drawings are alike if every part of one has its like near the same place in the other.

A small convolutional network gives each drawing one global feature, compared as in prototypical networks
(Snell, Swersky, Zemel 2017), and a 10×10 grid of local features. Each local feature is matched with the best
of the other drawing's, less a learnt penalty on the distance between the two places; the match, averaged with
learnt weights and in both directions, is the local score. It is the image distortion model (Keysers,
Deselaers, Gollan, Ney 2007) on learnt features; compare DeepEMD (Zhang et al. 2020), which matches parts one
to one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE = 42
"""Side of the input, in pixels."""
WIDTHS = (32, 64, 96, 128)
LOCAL = 64
"""Dimension of a local feature."""
GRID = SIZE // 4
"""Side of the grid of local features."""


class Features(NamedTuple):
    """Of n drawings: ``overall`` (n, 3200), ``parts`` (n, 100, 64) of unit norm and their ``weights``
    (n, 100), which sum to 1."""

    overall: Tensor
    parts: Tensor
    weights: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Features:  # type: ignore[override]
        return Features(self.overall[rows], self.parts[rows], self.weights[rows])


class Matcher(nn.Module):
    """Scores pairs of drawings. In ``train()`` mode batch statistics normalise, in ``eval()`` kept ones do:
    a score then depends on its two drawings alone."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (1, *WIDTHS[:-1])
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1, bias=False) for i, o in zip(inputs, WIDTHS, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in WIDTHS)
        self.fine, self.coarse = nn.Conv2d(WIDTHS[2], LOCAL, 1), nn.Conv2d(WIDTHS[3], LOCAL, 1)
        self.weigh = nn.Conv2d(LOCAL, 1, 1)
        self.log_scales = nn.Parameter(torch.tensor([math.log(20.0), math.log(10.0)]))
        self.log_penalty = nn.Parameter(torch.tensor(math.log(0.02)))
        rows, columns = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
        places = torch.stack([rows.flatten(), columns.flatten()], 1).float()
        moves = (places[:, None] - places[None]).square().sum(-1)
        self.register_buffer("moves", moves, persistent=False)

    def forward(self, images: Tensor) -> Features:
        """Return the :class:`Features` of ``images`` (n, 1, 42, 42) in 0..1."""
        h = images.to(memory_format=torch.channels_last)
        for block in (0, 1):  # pooled before the norm: the same work on a quarter of the values
            h = F.relu(self.norms[block](F.max_pool2d(self.convs[block](h), 2)))
        middle = F.relu(self.norms[2](self.convs[2](h)))
        last = F.relu(self.norms[3](self.convs[3](F.max_pool2d(middle, 2))))
        up = F.interpolate(self.coarse(last), size=middle.shape[-2:], mode="bilinear", align_corners=False)
        parts = self.fine(middle) + up
        weights = F.softplus(self.weigh(parts).float()).flatten(1)
        parts = F.normalize(parts.float().flatten(2).movedim(1, 2), dim=-1)
        return Features(last.float().flatten(1), parts, weights / weights.sum(1, keepdim=True))

    def scores(self, a: Features, b: Features, cells: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the global and the local scores (n, m) of ``a`` (n drawings) with ``b`` (m drawings).

        ``cells`` (2, k) makes training cheaper: only those parts of a (row 0) and of b (row 1) seek a match.
        """
        squares = a.overall.square().sum(1)[:, None] + b.overall.square().sum(1)[None]
        distances = (squares - 2 * a.overall @ b.overall.t()) / a.overall.shape[1]
        if cells is None:
            both = self._seek_all(a, b)
        else:
            both = self._seek(a, b, cells[0]) + self._seek(b, a, cells[1]).t()
        return -distances * self.log_scales[1].exp(), both / 2 * self.log_scales[0].exp()

    def _seek_all(self, a: Features, b: Features) -> Tensor:
        """Return the sum of ``_seek`` in both directions for all cells (n, m), exactly."""
        n, m, places = len(a.parts), len(b.parts), a.parts.shape[1]
        likeness = a.parts.reshape(n * places, -1) @ b.parts.reshape(m * places, -1).t()
        likeness = likeness.view(n, places, m, places)
        likeness = likeness - (self.log_penalty.exp() * self.moves).view(1, places, 1, places)
        forth = torch.einsum("nkm,nk->nm", likeness.amax(3), a.weights)
        return forth + torch.einsum("nmk,mk->nm", likeness.amax(1), b.weights)

    def _seek(self, a: Features, b: Features, cells: Tensor) -> Tensor:
        """Return how well the parts ``cells`` of each of ``a`` are found in each of ``b`` (n, m)."""
        parts, weights = a.parts[:, cells], a.weights[:, cells]
        n, k, m, places = len(parts), len(cells), len(b.parts), b.parts.shape[1]
        penalty = self.log_penalty.exp() * self.moves
        with torch.no_grad():  # the best match is sought coarsely; only its own likeness is differentiated
            likeness = parts.bfloat16().reshape(n * k, -1) @ b.parts.bfloat16().reshape(m * places, -1).t()
            likeness = likeness.view(n, k, m, places) - penalty[cells][None, :, None, :].to(likeness.dtype)
            best = likeness.max(-1).indices
        found = F.embedding(best + places * torch.arange(m)[None, None], b.parts.reshape(m * places, -1))
        match = (
            torch.einsum("nkmd,nkd->nkm", found, parts) - penalty[cells[None, :, None].expand_as(best), best]
        )
        return (match * weights.unsqueeze(-1)).sum(1) / weights.sum(1, keepdim=True)
