"""Conv4-64, the field's standard small backbone (Vinyals et al. 2016, section 4.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.base import Backbone, Film, Normalisation, Params
from metalab.backbones.operations import (
    Moments,
    max_pool,
    moments,
    moments_of_product,
    patches,
    pooled_product,
)


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
            h = self._block(params, h, film, block)
        return h.flatten(1)

    def _block(self, params: Params, x: Tensor, film: Film | None, block: int) -> Tensor:
        """Convolution, norm, FiLM, ReLU, max-pooling, with the pooling moved to the front.

        Norm and FiLM are one increasing map per channel once the kernels of the channels with a negative
        scale are turned over, and increasing maps commute with a maximum. So only the convolution, its
        moments and the pooling touch the full map, and all else, backward twice too, a quarter of it.
        """
        name, kernel = f"norm{block}", params[f"conv{block}"]
        weight = params[f"{name}_weight"].detach()
        if film is not None:
            weight = weight * (1 + film[block][0].detach())
        sign = torch.where(weight < 0, -1.0, 1.0).to(kernel.dtype)
        kernel = kernel * sign[:, None, None, None]
        if block == 0:  # the largest map, of few input channels: its moments follow from the patches
            rows = patches(x)
            flat = kernel.flatten(1).t().contiguous()
            pooled = pooled_product(rows, flat, *x.shape[2:])
        else:
            h = F.conv2d(x, kernel, padding=1)
            pooled = max_pool(h)

        def measure() -> Moments:
            if block == 0:
                mean, var = moments_of_product(rows if self._per_image else rows.flatten(0, 1), flat)
            else:
                mean, var = moments(h, self._per_image)
            return mean * sign, var

        statistics = self._statistics(name, measure, len(x) * x.shape[2] * x.shape[3])
        scale, shift = self._affine(params, name, statistics, film, block)
        return F.relu(torch.addcmul(shift[..., None, None], pooled, (scale * sign)[..., None, None]))
