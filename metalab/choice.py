"""Which ready model suits a handful of own images: measured on them where they suffice."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from metalab.adaptation import AdaptedModel, adapt
from metalab.backbones import Backbone
from metalab.backbones.local import PREFIX
from metalab.errors import MetalabError
from metalab.metalearners import MetaLearner
from metalab.records import Images

if TYPE_CHECKING:
    from metalab.shipped import Trained

AUTO = "auto"
PHOTO, DRAWING = "photo", "protonet"
"""The ready meta-learners: for photos a ridge head on frozen ImageNet features, which no adapter that was
meta-trained offline beats (README, *Own photos*); for drawings the shipped ProtoNet."""
INK = 0.8
"""Share of pixels near black or white from which grey images count as drawings, if no more is known."""


@dataclass(frozen=True)
class Choice:
    """The adapted model, the name of the meta-learner it comes from, and why, in words."""

    model: AdaptedModel
    name: str
    reason: str


@cache
def ready(name: str) -> MetaLearner:
    """Return the ready meta-learner ``name``, or with ``local:…`` one on weights that lie on this machine.

    Read once, never changed. Raises :class:`RunError` and :class:`CheckpointError`.
    """
    from metalab.api import create_metalearner
    from metalab.backbones import Photo
    from metalab.backbones.local import local_backbone
    from metalab.shipped import load_trained

    if name == PHOTO:
        return create_metalearner("r2d2", Photo().restore_frozen().eval())
    if name.startswith(PREFIX):
        return create_metalearner("r2d2", local_backbone(name))
    return load_trained(name).metalearner


def ready_trained(name: str) -> Trained:
    """Return :func:`ready` with the backbone under it and a configuration, as :func:`load_trained` does.

    Raises :class:`RunError` where there is no such model, and :class:`CheckpointError`.
    """
    from metalab.config import Config
    from metalab.shipped import Trained, load_trained

    if name != PHOTO and not name.startswith(PREFIX):
        return load_trained(name)
    learner = ready(name)
    config = Config.create(backbone=PHOTO, metalearner=learner.name, source="image-folder", data="own images")
    return Trained(learner, learner.backbone, config)


def read_ahead() -> threading.Thread:
    """Read the ready models in the background, so that the first images meet them warm; return the thread."""

    def look() -> None:
        noise = np.random.default_rng(0).integers(0, 256, (4, 16, 16), dtype=np.uint8)
        with suppress(MetalabError):  # whoever needs what is missing will be told
            adapt_best(noise, [0, 0, 1, 1])

    thread = threading.Thread(target=look, name="read-ahead", daemon=True)
    thread.start()
    return thread


def untrained_backbone(name: str) -> Backbone:
    """Return the pre-trained backbone under the ready meta-learner ``name``, before any meta-learning."""
    return ready_trained(name).pretrained


def adapt_best(images: Images, labels: Any) -> Choice:
    """Adapt the ready model that suits raw ``images`` best; raises :class:`DataError`.

    Grey images may suit both models: cross-validation over the examples decides, and with one example a
    class, the look of the images.
    """
    if not grey(images):
        return Choice(adapt(ready(PHOTO), images, labels), PHOTO, "the images are in colour")
    drawing, photo = (adapt(ready(name), images, labels) for name in (DRAWING, PHOTO))
    ours, theirs = drawing.confidence.accuracy, photo.confidence.accuracy
    if ours is None or theirs is None:
        look = ink(images) >= INK
        chosen = (drawing, DRAWING) if look else (photo, PHOTO)
        return Choice(*chosen, f"grey images that look like {'drawings' if look else 'photos'}")
    measured = (
        f"grey images: {ours:.0%} right by cross-validation with the model for drawings, {theirs:.0%} with "
    )
    chosen = (drawing, DRAWING) if ours >= theirs else (photo, PHOTO)
    return Choice(*chosen, measured + "the one for photos")


def adapt_as_asked(images: Images, labels: Any, name: str = AUTO) -> Choice:
    """Adapt the ready model ``name``, by default the one that suits; raises as :func:`ready` does."""
    if name == AUTO:
        return adapt_best(images, labels)
    return Choice(adapt(ready(name), images, labels), name, "as asked")


def grey(images: Images | Sequence[np.ndarray]) -> bool:
    """Return whether raw ``images`` have no colour."""
    for image in images:
        channels = _channels_last(image)
        if np.ptp(channels[..., :3], axis=2).mean() > 0.02 * max(float(channels.max()), 1e-9):
            return False
    return True


def ink(images: Images | Sequence[np.ndarray]) -> float:
    """Return the share of pixels of raw ``images`` near the darkest or lightest of their image."""
    shares = []
    for image in images:
        pixels = _channels_last(image)[..., 0]
        middle = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1e-9)
        shares.append(((middle < 0.2) | (middle > 0.8)).mean())
    return float(np.mean(shares))


def _channels_last(image: np.ndarray | Tensor) -> np.ndarray:
    """Return one raw image as floats (H, W, C)."""
    pixels = np.asarray(image.cpu() if isinstance(image, Tensor) else image, dtype=np.float32)
    if pixels.ndim == 2:
        return pixels[..., None]
    return pixels if pixels.shape[2] in (1, 3, 4) else np.moveaxis(pixels, 0, 2)
