"""A reader of text: hashed words, convolutions and attention; a feature for every token."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.base import Backbone, Film, Normalisation, Params
from metalab.data.words import FIELDS, PADDING

DILATIONS = (1, 2, 4, 8, 1, 2)
"""Of the blocks' convolutions."""
ATTENTION_AFTER = (1, 3)
"""Blocks after which every token looks at all others."""
HEADS = 4


class Reader(Backbone):
    """Tokens (n, length, 6) as :func:`metalab.data.words.assembled` makes them → features (n * length, d).

    The numbers of a token are embedded and added (as fastText does, Bojanowski et al. 2017), then blocks of
    dilated convolutions alternate with multi-head attention over the whole window (Vaswani et al. 2017);
    pre-normalised by layer, so it is inductive. Features are those of tokens, an example each. ``size`` is
    the length of a window, any works; ``width`` is d; ``channels`` and ``normalisation`` are unused.
    """

    def __init__(
        self, channels: int = 1, size: int = 192, width: int = 128, normalisation: Normalisation = "running"
    ) -> None:
        super().__init__(channels, size, width, normalisation)
        self.film_channels = (width,) * len(DILATIONS)
        self.feature_dim = width
        for field, values in enumerate(FIELDS):
            self._add(f"embed{field}", values, width, deviation=0.5)
        for block in range(len(DILATIONS)):
            self._add(f"block{block}_conv", width, width, 3, deviation=math.sqrt(2 / (3 * width)))
            self._scale(f"block{block}")
        for block in ATTENTION_AFTER:
            self._add(f"attend{block}_in", 3 * width, width, deviation=width**-0.5)
            self._add(f"attend{block}_out", width, width, deviation=0.5 * width**-0.5)
            self._scale(f"attend{block}")
        self._scale("last")

    def _add(self, name: str, *shape: int, deviation: float) -> None:
        self.register_parameter(name, nn.Parameter(torch.randn(*shape) * deviation))

    def _scale(self, name: str) -> None:
        self.register_parameter(f"{name}_weight", nn.Parameter(torch.ones(self.width)))
        self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(self.width)))

    def tokens(self, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
        """Return features (n, length, d) of ``x``; those of padding mean nothing."""
        fields = x.long()
        h = sum(F.embedding(fields[..., i], params[f"embed{i}"]) for i in range(len(FIELDS)))
        told = fields[..., ROLES_AT] != PADDING
        seen = told[..., None].to(h.dtype)
        for block, dilation in enumerate(DILATIONS):
            normed = self._normed(params, f"block{block}", h)
            if film is not None:
                gamma, beta = film[block]
                normed = normed * (1 + gamma) + beta
            inner = F.relu(normed) * seen
            weight = params[f"block{block}_conv"]
            moved = F.conv1d(inner.transpose(1, 2), weight, padding=dilation, dilation=dilation)
            h = h + moved.transpose(1, 2)
            if block in ATTENTION_AFTER:
                h = h + self._attention(params, f"attend{block}", h, told)
        return self._normed(params, "last", h)

    def extract(self, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
        """Return the features (n * length, d) of all tokens, text after text."""
        return self.tokens(params, x, film).flatten(0, 1)

    def standardise(self, x: Tensor) -> Tensor:
        """Return ``x``: numbers of buckets have no mean."""
        return x

    def _normed(self, params: Params, name: str, h: Tensor) -> Tensor:
        return F.layer_norm(h, (self.width,), params[f"{name}_weight"], params[f"{name}_bias"])

    def _attention(self, params: Params, name: str, h: Tensor, told: Tensor) -> Tensor:
        n, length, width = h.shape
        mixed = self._normed(params, name, h) @ params[f"{name}_in"].t()
        query, key, value = mixed.view(n, length, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        likeness = query @ key.transpose(-1, -2) / math.sqrt(width // HEADS)
        weights = likeness.masked_fill(~told[:, None, None], -1e4).softmax(-1)
        return (weights @ value).transpose(1, 2).reshape(n, length, width) @ params[f"{name}_out"].t()


ROLES_AT = len(FIELDS) - 1
"""Which number of a token is its role."""
