"""A model adapted to one task: predict, save, load. It keeps class names and preprocessing inside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metalab import backbones
from metalab.backbones import Backbone
from metalab.checkpoints import checkpoint_bytes, load_checkpoint, load_into, prefixed
from metalab.errors import CheckpointError, ConfigError, DataError
from metalab.metalearners import MetaLearner, State, check_options, get_metalearner
from metalab.storage import atomic_write
from metalab.tasks import Examples

Label = str | int | float | bool
"""A class as the user names it."""


@dataclass(frozen=True)
class AdaptedModel:
    """A meta-learner with the state of one task; ``classes`` names the outputs, in order."""

    metalearner: MetaLearner
    state: State
    classes: list[Label]

    def predict_proba(self, images: np.ndarray | Tensor) -> np.ndarray:
        """Return class probabilities (n, way) of raw images; raises :class:`DataError`."""
        x = prepare(images, self.metalearner.backbone)
        with torch.no_grad():
            return F.softmax(self.metalearner.predict(self.state, x), dim=1).cpu().numpy()

    def predict(self, images: np.ndarray | Tensor) -> list[Label]:
        """Return the most probable class of each image, as it was labelled."""
        return [self.classes[i] for i in self.predict_proba(images).argmax(1)]

    def save(self, path: Path | str) -> None:
        """Write everything to one safetensors file. Raises :class:`StorageError`."""
        atomic_write(Path(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return what :meth:`save` writes."""
        tensors = {f"learner.{k}": v for k, v in self.metalearner.state_dict().items()}
        tensors |= {f"state.{k}": v for k, v in self.state.items()}
        meta = {"classes": self.classes, **describe(self.metalearner)}
        return checkpoint_bytes("adapted-model", tensors, meta)


def load(path: Path | str) -> AdaptedModel:
    """Read an :class:`AdaptedModel`; raises :class:`CheckpointError`."""
    tensors, meta = load_checkpoint(path, "adapted-model")
    metalearner = rebuild(meta, prefixed(tensors, "learner"), path)
    return AdaptedModel(metalearner, prefixed(tensors, "state"), list(meta["classes"]))


def adapt(metalearner: MetaLearner, images: np.ndarray | Tensor, labels: Any) -> AdaptedModel:
    """Adapt to labelled raw images; raises :class:`DataError` for fewer than two classes."""
    names = label_list(labels)
    classes = list(dict.fromkeys(names))
    if len(names) != len(images):
        raise DataError(f"{len(images)} images but {len(names)} labels", where="train_labels")
    if len(classes) < 2:
        raise DataError("a task needs at least two classes", where="train_labels", fix="Add another class")
    x = prepare(images, metalearner.backbone)
    y = torch.tensor([classes.index(name) for name in names], device=x.device)
    return adapt_examples(metalearner, Examples(x, y), classes)


def label_list(labels: Any) -> list[Label]:
    """Return array-like ``labels`` as plain strings or numbers, which JSON can keep."""
    plain = labels.cpu() if isinstance(labels, Tensor) else labels
    return np.asarray(plain).ravel().tolist()


def adapt_examples(metalearner: MetaLearner, support: Examples, classes: list[Label]) -> AdaptedModel:
    """Adapt to prepared ``support`` examples, whose labels are indices of ``classes``."""
    with torch.no_grad():
        state = metalearner.adapt(support, len(classes))
    return AdaptedModel(metalearner, {k: v.detach() for k, v in state.items()}, classes)


def prepare(images: np.ndarray | Tensor, backbone: Backbone) -> Tensor:
    """Return raw images as (n, channels, size, size) floats in 0..1 on the backbone's device.

    Greyscale drawings on light paper are inverted, since drawings are learnt as light ink on dark. Raises
    :class:`DataError` saying what does not fit.
    """
    x = images if isinstance(images, Tensor) else torch.from_numpy(np.ascontiguousarray(images))
    if x.ndim == 3:
        x = x.unsqueeze(1)
    elif x.ndim == 4 and x.shape[1] not in (1, 3, 4) and x.shape[3] in (1, 3, 4):
        x = x.movedim(3, 1)
    if x.ndim != 4 or x.shape[1] not in (1, 3, 4) or not x.numel():
        raise DataError(
            f"images have shape {tuple(images.shape)}",
            where="data",
            fix="Give (n, H, W), (n, H, W, C) or (n, C, H, W) with 1, 3 or 4 channels",
        )
    limit = torch.iinfo(x.dtype).max if not x.is_floating_point() else 1
    x = x.to(backbone.input_mean.device, torch.float32) / limit
    if not bool(torch.isfinite(x).all()) or float(x.min()) < 0 or float(x.max()) > 1:
        raise DataError(
            "values are not finite, or floats outside 0..1", where="data", fix="Scale floats to 0..1"
        )
    x = x[:, :3]
    if x.shape[1] != backbone.channels:
        x = x.mean(1, keepdim=True) if backbone.channels == 1 else x.expand(-1, 3, -1, -1)
    if x.shape[-2:] != (backbone.size, backbone.size):
        x = F.interpolate(x, (backbone.size, backbone.size), mode="bilinear", antialias=True).clamp(0, 1)
    if backbone.channels == 1:
        light = x.flatten(1).median(1).values > 0.5
        x = torch.where(light[:, None, None, None], 1 - x, x)
    return x


def describe(metalearner: MetaLearner) -> dict[str, Any]:
    """Return the JSON-able description from which :func:`rebuild` makes the same module."""
    return {
        "metalearner": metalearner.name,
        "options": metalearner.options.model_dump(),
        "backbone": backbones.describe(metalearner.backbone),
    }


def rebuild(meta: dict[str, Any], tensors: dict[str, Tensor], where: object) -> MetaLearner:
    """Return the meta-learner that ``meta`` and ``tensors`` describe; raises :class:`CheckpointError`."""
    try:
        backbone = backbones.build(meta["backbone"])
        cls, options = get_metalearner(meta["metalearner"]), meta["options"]
        metalearner = cls(backbone, check_options(cls.name, options))
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"describes no known model ({error})", where=where) from None
    load_into(metalearner, tensors, where)
    return metalearner


def load_metalearner(path: Path | str) -> MetaLearner:
    """Read a trained meta-learner; raises :class:`CheckpointError`."""
    tensors, meta = load_checkpoint(path, "metalearner")
    return rebuild(meta, tensors, path)
