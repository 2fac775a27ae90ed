"""What backbones with a frozen, ready network share: records of images, and an adapter that may learn."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.base import Backbone, Film, Params, seeded_initialisation
from metalab.backbones.conv4 import Conv4

THUMBNAIL = 32
BATCH = 32
"""Images put through the network at once."""


class Frozen(Backbone):
    """Colour images (n, 3, size, size) in 0..1 → features (n, feature_dim).

    The network is frozen: its tensors are buffers ``frozen_…``, which no optimiser touches. The square roots
    of its features, scaled to length √feature_dim, pass through a small residual adapter: the parameters,
    which meta-learning adjusts, ``width`` hidden units that change nothing at first. So whole data sets are
    put through the network once: :meth:`record` packs the raw features of an image with a thumbnail of 32×32
    pixels, and :meth:`extract` takes such records (n, feature_dim + 3072) as well as images.
    """

    transductive = False

    def _add_adapter(self, features: int) -> None:
        self.down_weight = nn.Parameter(torch.randn(self.width, features) / math.sqrt(features))
        self.down_bias = nn.Parameter(torch.zeros(self.width))
        self.up_weight = nn.Parameter(torch.zeros(features, self.width))
        self.film_channels = (features,)
        self.feature_dim = features

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """Return the frozen network's raw features (n, feature_dim) of images (n, 3, size, size)."""

    def extract(self, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
        """Return adapted features (n, feature_dim) of images (n, 3, size, size), or of their records."""
        raw = self.embed(x) if x.ndim == 4 else x[:, : self.feature_dim]
        h = F.normalize(self._root(raw), dim=1) * math.sqrt(self.feature_dim)
        hidden = F.relu(F.linear(h, params["down_weight"], params["down_bias"]))
        h = h + F.linear(hidden, params["up_weight"])
        if film is not None:
            gamma, beta = film[0]
            h = h * (1 + gamma) + beta
        return h

    def _root(self, raw: Tensor) -> Tensor:
        return (raw + 1e-6).sqrt()

    def record(self, x: Tensor) -> Tensor:
        """Return images (n, 3, size, size) as records: raw features, then a thumbnail."""
        with torch.no_grad():
            parts = [torch.cat([self.embed(part), _small(part).flatten(1)], 1) for part in x.split(BATCH)]
        return torch.cat(parts)

    def pictures(self, x: Tensor) -> Tensor:
        """Return images as they are, of records their thumbnails (n, 3, 32, 32)."""
        return x if x.ndim == 4 else _thumbnails_of(x)

    def from_scratch(self, seed: int) -> Backbone:
        """Return a Conv4 over thumbnails: five photos are far too few to train this network anew."""
        with seeded_initialisation(seed):
            return _Thumbnails(3, THUMBNAIL, 32, "running").to(self.input_mean.device)

    @property
    @abstractmethod
    def fingerprint(self) -> bytes:
        """Name the frozen network by some of its weights, for caches of what it computes."""


class _Thumbnails(Conv4):
    """A Conv4 over the thumbnails of photos, given as images or as records."""

    def extract(self, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
        return super().extract(params, _small(x) if x.ndim == 4 else _thumbnails_of(x), film)


def _thumbnails_of(records: Tensor) -> Tensor:
    return records[:, -3 * THUMBNAIL**2 :].unflatten(1, (3, THUMBNAIL, THUMBNAIL))


def _small(x: Tensor) -> Tensor:
    return F.interpolate(x, (THUMBNAIL, THUMBNAIL), mode="bilinear", antialias=True)
