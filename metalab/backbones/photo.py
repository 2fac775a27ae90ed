"""A photo backbone with ImageNet weights that need no download: frozen features and an adapter."""

from __future__ import annotations

from torch import Tensor

from metalab.backbones.base import Normalisation
from metalab.backbones.efficientnet import FEATURES, EfficientNet
from metalab.backbones.frozen import Frozen


class Photo(EfficientNet, Frozen):
    """Colour images (n, 3, size, size) in 0..1 → features (n, 1280)."""

    def __init__(
        self, channels: int = 3, size: int = 192, width: int = 64, normalisation: Normalisation = "running"
    ) -> None:
        super().__init__(channels, size, width, normalisation)
        if channels != 3 or size % 32:
            raise TypeError("the photo backbone takes 3 channels and a size that 32 divides")
        self._add_network()
        self._add_adapter(FEATURES)

    def embed(self, x: Tensor) -> Tensor:
        """Return the frozen network's raw features (n, 1280) of images (n, 3, size, size)."""
        return self.maps(x)[-1].mean((2, 3))
