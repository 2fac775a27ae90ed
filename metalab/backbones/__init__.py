"""Step 2, feature extraction: backbones as pure functions of (parameters, images). One family per file."""

from __future__ import annotations

import torch

from metalab.backbones.base import Backbone
from metalab.backbones.conv4 import Conv4
from metalab.backbones.resnet12 import ResNet12
from metalab.config import Config

BACKBONES: dict[str, type[Backbone]] = {"conv4": Conv4, "resnet12": ResNet12}


def create_backbone(config: Config) -> Backbone:
    """Return a randomly initialised backbone, the same for the same ``config.seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return BACKBONES[config.backbone](
            channels=config.channels,
            size=config.image_size,
            width=config.width,
            normalisation=config.normalisation,
        )


__all__ = ["BACKBONES", "Backbone", "create_backbone"]
