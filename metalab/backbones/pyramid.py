"""A feature pyramid for pixels and places (FPN, Lin et al. 2017, section 3) on a small residual network."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.base import Backbone, Film, Normalisation, Params, modulate

CHANNELS = 64
"""Of every level of the pyramid."""


class PixelBackbone(Backbone):
    """Images (n, channels, height, width) in 0..1 → maps of 64 channels; features are those of pixels.

    What is learnt from few labelled pixels is a classifier of pixels: each of the finest level is an example.
    ``size`` is the side of training; any other multiple of 16 works too.
    """

    feature_dim = CHANNELS

    @abstractmethod
    def levels(self, params: Params, x: Tensor, film: Film | None = None) -> tuple[Tensor, Tensor]:
        """Return the levels at 1/2 and 1/4 of the side, (n, 64, ·, ·) each, that all coarser ones feed."""

    def extract(self, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
        """Return the pixels (n * height * width / 4, 64) of the finest level, row after row."""
        return self.levels(params, x, film)[0].permute(0, 2, 3, 1).flatten(0, 2)

    def _add(self, name: str, inputs: int, outputs: int, kernel: int) -> None:
        weight = torch.randn(outputs, inputs, kernel, kernel) * math.sqrt(2 / (inputs * kernel**2))
        self.register_parameter(name, nn.Parameter(weight))


class Pyramid(PixelBackbone):
    """A trunk that is trained with the pyramid, for scenes of 64 pixels.

    It is a ResNet (He et al. 2016) of four blocks of two 3×3 convolutions that halve the side each by stride:
    maps of full size cost more in memory traffic than in arithmetic, and a Conv4 here takes four times as
    long. Each block's map passes a 1×1 convolution, and the next coarser level, enlarged, is added.
    """

    def __init__(
        self, channels: int = 3, size: int = 64, width: int = 64, normalisation: Normalisation = "running"
    ) -> None:
        super().__init__(channels, size, width, normalisation)
        self.film_channels = (width // 2, width, 2 * width, 3 * width)
        inputs = channels
        for block, outputs in enumerate(self.film_channels):
            self._add(f"block{block}_conv0", inputs, outputs, 3)
            self._add(f"block{block}_conv1", outputs, outputs, 3)
            self._add(f"block{block}_skip", inputs, outputs, 1)
            for norm in ("norm0", "norm1"):
                self._add_norm(f"block{block}_{norm}", outputs)
            self._add(f"lateral{block}", outputs, CHANNELS, 1)
            inputs = outputs
        self._add("smooth", CHANNELS, CHANNELS, 3)

    def blocks(self, params: Params, x: Tensor, film: Film | None = None) -> list[Tensor]:
        """Return the trunk's maps, of ``film_channels``, at 1/2, 1/4, 1/8 and 1/16 of the side."""
        h, found = self.standardise(x).contiguous(memory_format=torch.channels_last), []
        for block in range(len(self.film_channels)):
            name = f"block{block}"
            # Not stride=2: the gradient of a strided 1×1 convolution over 3 channels-last channels writes
            # beyond its memory on CPUs (torch 2.13).
            skip = F.conv2d(h[:, :, ::2, ::2], params[f"{name}_skip"])
            h = F.conv2d(h, params[f"{name}_conv0"], stride=2, padding=1)
            h = F.relu(self._norm(params, f"{name}_norm0", h))
            h = F.conv2d(h, params[f"{name}_conv1"], padding=1)
            h = F.relu(modulate(self._norm(params, f"{name}_norm1", h) + skip, film, block))
            found.append(h)
        return found

    def levels(self, params: Params, x: Tensor, film: Film | None = None) -> tuple[Tensor, Tensor]:
        """Return the levels at 1/2 and 1/4 of the side, (n, 64, ·, ·) each, that all coarser ones feed."""
        blocks = self.blocks(params, x, film)
        level = F.conv2d(blocks[-1], params["lateral3"])
        for block in (2, 1):
            level = enlarged(level) + F.conv2d(blocks[block], params[f"lateral{block}"])
        level = F.conv2d(level, params["smooth"], padding=1)  # not at 1/2: it would cost as much as the trunk
        return enlarged(level) + F.conv2d(blocks[0], params["lateral0"]), level


def enlarged(h: Tensor) -> Tensor:
    """Return maps (n, c, ·, ·) of twice the side."""
    return F.interpolate(h, scale_factor=2.0, mode="nearest")
