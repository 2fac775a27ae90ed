"""A small convolutional listener for pictures of spoken words (mel bands by moments)."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.base import Backbone, Film, Normalisation, Params, modulate


class Listener(Backbone):
    """Five blocks of 3×3 convolution, norm, ReLU, the first with stride 2, the next three followed by 2×2
    max-pooling; features are the flattened last map, so where in band and time something is stays known."""

    def __init__(
        self, channels: int = 1, size: int = 64, width: int = 48, normalisation: Normalisation = "running"
    ) -> None:
        super().__init__(channels, size, width, normalisation)
        widths = (channels, width // 2, width, width, 2 * width, 2 * width)
        for block, (before, after) in enumerate(itertools.pairwise(widths)):
            conv = nn.Conv2d(before, after, 3)
            self.register_parameter(f"conv{block}", nn.Parameter(nn.init.kaiming_normal_(conv.weight.data)))
            self._add_norm(f"norm{block}", after)
        self.film_channels = widths[1:]
        self.map_size = size // 16
        self.feature_dim = widths[-1] * self.map_size**2

    def extract(self, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
        """Return features (n, 2 * width * (size // 16)²)."""
        h = self.standardise(x)
        for block in range(len(self.film_channels)):
            h = F.conv2d(h, params[f"conv{block}"], stride=2 if block == 0 else 1, padding=1)
            h = F.relu(modulate(self._norm(params, f"norm{block}", h), film, block))
            if 0 < block < len(self.film_channels) - 1:
                h = F.max_pool2d(h, 2)
        return h.flatten(1)
