"""ResNet-12 (Oreshkin et al. 2018; widths 64-160-320-640 and leaky ReLU as in Lee et al. 2019)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.base import Backbone, Film, Normalisation, Params, modulate


class ResNet12(Backbone):
    """Four residual blocks of three 3×3 convolutions; features are the global average (10 × width)."""

    def __init__(
        self, channels: int, size: int, width: int = 64, normalisation: Normalisation = "running"
    ) -> None:
        super().__init__(channels, size, width, normalisation)
        widths = (width, width * 5 // 2, width * 5, width * 10)
        inputs = channels
        for block, outputs in enumerate(widths):
            for layer in range(3):
                self._add_conv(f"block{block}_conv{layer}", inputs if layer == 0 else outputs, outputs, 3)
                self._add_norm(f"block{block}_norm{layer}", outputs)
            self._add_conv(f"block{block}_skip", inputs, outputs, 1)
            self._add_norm(f"block{block}_skip_norm", outputs)
            inputs = outputs
        self.film_channels = widths
        self.feature_dim = widths[-1]

    def _add_conv(self, name: str, inputs: int, outputs: int, kernel: int) -> None:
        weight = nn.Conv2d(inputs, outputs, kernel).weight.data
        nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="leaky_relu", a=0.1)
        self.register_parameter(name, nn.Parameter(weight))

    def extract(self, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
        """Return features (n, 10 * width)."""
        h = self.standardise(x)
        for block in range(4):
            skip = F.conv2d(h, params[f"block{block}_skip"])
            skip = self._norm(params, f"block{block}_skip_norm", skip)
            for layer in range(3):
                h = F.conv2d(h, params[f"block{block}_conv{layer}"], padding=1)
                h = self._norm(params, f"block{block}_norm{layer}", h)
                if layer < 2:
                    h = F.leaky_relu(h, 0.1)
            h = F.max_pool2d(F.leaky_relu(modulate(h + skip, film, block), 0.1), 2)
        return h.mean(dim=(2, 3))
