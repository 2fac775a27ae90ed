"""A feature pyramid for pixels and places of photos, on frozen ImageNet features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.backbones.base import Film, Normalisation, Params, modulate, seeded_initialisation
from metalab.backbones.efficientnet import EfficientNet
from metalab.backbones.pyramid import CHANNELS, PixelBackbone, Pyramid, enlarged

TAPS = (24, 40, 112, 1280)
"""Channels of the frozen maps that feed the pyramid, the finest first."""


class PhotoPyramid(EfficientNet, PixelBackbone):
    """EfficientNet-Lite0, frozen, and a feature pyramid (FPN, Lin et al. 2017, section 3) that is trained.

    The network looks at pictures enlarged twice: it learnt from 224 pixels, scenes have 64, and pixels are
    about small things. So its maps at 1/4, 1/8, 1/16 and 1/32 are levels at 1/2 to 1/16 of the picture. Each
    passes a 1×1 convolution, and the next coarser level, enlarged, is added; ``width`` is the channels
    there. No gradient passes through the network, so a step costs little more than with a small trunk.
    """

    def __init__(
        self, channels: int = 3, size: int = 64, width: int = 64, normalisation: Normalisation = "running"
    ) -> None:
        super().__init__(channels, size, width, normalisation)
        if channels != 3 or size % 16:
            raise TypeError("the photo pyramid takes 3 channels and a size that 16 divides")
        self._add_network()
        self.film_channels = (CHANNELS, width, width, width)
        for level, inputs in enumerate(TAPS):
            self._add(f"lateral{level}", inputs, self.film_channels[level], 1)
            self._add_norm(f"lateral{level}_norm", self.film_channels[level])
        for level in (1, 2):
            self._add(f"smooth{level}", width, width, 3)
            self._add_norm(f"smooth{level}_norm", width)
        self._add("out", width, CHANNELS, 1)

    def levels(self, params: Params, x: Tensor, film: Film | None = None) -> tuple[Tensor, Tensor]:
        """Return the levels at 1/2 and 1/4 of the side, (n, 64, ·, ·) each, that all coarser ones feed."""
        with torch.no_grad():
            wide = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            taps = self.maps(wide)[1:]

        def lateral(level: int) -> Tensor:
            return self._norm(
                params, f"lateral{level}_norm", F.conv2d(taps[level], params[f"lateral{level}"])
            )

        h = F.relu(modulate(lateral(3), film, 3))
        for level in (2, 1):
            h = F.conv2d(enlarged(h) + lateral(level), params[f"smooth{level}"], padding=1)
            h = F.relu(modulate(self._norm(params, f"smooth{level}_norm", h), film, level))
        level = F.conv2d(h, params["out"])
        return enlarged(level) + modulate(lateral(0), film, 0), level

    def from_scratch(self, seed: int) -> Pyramid:
        """Return a small pyramid: a few pictures are far too few to train the network anew."""
        with seeded_initialisation(seed):
            new = Pyramid(self.channels, self.size, self.width, self.normalisation)
        new.input_mean.copy_(self.input_mean)
        new.input_std.copy_(self.input_std)
        return new.to(self.input_mean.device)
