"""Conv4-64, the field's standard small backbone (Vinyals et al. 2016, section 4.1)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.base import Backbone, Film, Normalisation, Params, modulate


class Conv4(Backbone):
    """Four blocks of 3×3 convolution, norm, ReLU, 2×2 max-pooling; features are the flattened last map."""

    def __init__(
        self, channels: int, size: int, width: int = 64, normalisation: Normalisation = "running"
    ) -> None:
        super().__init__(channels, size, width, normalisation)
        for block in range(4):
            conv = nn.Conv2d(channels if block == 0 else width, width, 3)
            self.register_parameter(f"conv{block}", nn.Parameter(nn.init.kaiming_normal_(conv.weight.data)))
            self._add_norm(f"norm{block}", width)
        self.film_channels = (width,) * 4
        self.map_size = size // 16
        self.feature_dim = width * self.map_size**2

    def extract(self, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
        """Return features (n, width * (size // 16)²)."""
        h = self.standardise(x)
        for block in range(4):
            h = F.conv2d(h, params[f"conv{block}"], padding=1)
            h = modulate(self._norm(params, f"norm{block}", h), film, block)
            h = F.max_pool2d(F.relu(h), 2)
        return h.flatten(1)
