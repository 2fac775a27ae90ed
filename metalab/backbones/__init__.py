"""Step 2, feature extraction: backbones as pure functions of (parameters, images). One family per file."""

from __future__ import annotations

from typing import Any

import torch

from metalab.backbones.base import Backbone, is_frozen, seeded_initialisation
from metalab.backbones.conv4 import Conv4
from metalab.backbones.efficientnet import EfficientNet
from metalab.backbones.entities import Adverts, Entities, Products
from metalab.backbones.frozen import Frozen
from metalab.backbones.listener import Listener
from metalab.backbones.local import Local
from metalab.backbones.mlp import MLP
from metalab.backbones.photo import Photo
from metalab.backbones.photo_pyramid import PhotoPyramid
from metalab.backbones.pyramid import PixelBackbone, Pyramid
from metalab.backbones.reader import Reader
from metalab.backbones.resnet12 import ResNet12
from metalab.backbones.writer import Summariser, Translator, Writer
from metalab.config import Config

BACKBONES: dict[str, type[Backbone]] = {
    "conv4": Conv4,
    "resnet12": ResNet12,
    "mlp": MLP,
    "photo": Photo,
    "pyramid": Pyramid,
    "photo-pyramid": PhotoPyramid,
    "reader": Reader,
    "local": Local,
    "listener": Listener,
    "translator": Translator,
    "summariser": Summariser,
    "products": Products,
    "adverts": Adverts,
}


def create_backbone(config: Config) -> Backbone:
    """Return a randomly initialised backbone, the same for the same ``config.seed``.

    What is frozen in it has its ready weights. Raises :class:`CheckpointError` without their package.
    """
    with seeded_initialisation(config.seed):
        backbone = BACKBONES[config.backbone](
            channels=config.channels,
            size=config.image_size,
            width=config.width,
            normalisation=config.normalisation,
        )
    return backbone.restore_frozen()


def describe(backbone: Backbone) -> dict[str, Any]:
    """Return the JSON-able description from which :func:`build` makes a backbone of the same shape."""
    family = next(name for name, cls in BACKBONES.items() if type(backbone) is cls)
    return {"family": family, **backbone.shape()}


def build(description: dict[str, Any]) -> Backbone:
    """Return a randomly initialised backbone; raises KeyError or TypeError for an unknown description."""
    shape = dict(description)
    return BACKBONES[shape.pop("family")](**shape)


def same_weights(a: Backbone, b: Backbone) -> bool:
    """Return whether two backbones have the same shape and weights."""
    ours, theirs = a.state_dict(), b.state_dict()
    return describe(a) == describe(b) and all(torch.equal(ours[name], theirs[name]) for name in ours)


__all__ = [
    "BACKBONES",
    "MLP",
    "Adverts",
    "Backbone",
    "EfficientNet",
    "Entities",
    "Frozen",
    "Listener",
    "Local",
    "Photo",
    "PhotoPyramid",
    "PixelBackbone",
    "Products",
    "Pyramid",
    "Reader",
    "Summariser",
    "Translator",
    "Writer",
    "build",
    "create_backbone",
    "describe",
    "is_frozen",
    "same_weights",
    "seeded_initialisation",
]
