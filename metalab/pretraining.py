"""Step 2, feature extraction: pre-train a backbone by ordinary classification over the meta-train classes.

As in Meta-Baseline (Chen et al. 2021, section 3.1) and RFS (Tian et al. 2020, equation 3). Backbones for
pixels classify pixels, the ground being one class more; readers say of each token what it is to every kind of
question; writers write (:mod:`metalab.writer_pretraining`); what is rated or clicked is factorised
(:mod:`metalab.event_pretraining`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones import (
    Backbone,
    EfficientNet,
    Entities,
    PixelBackbone,
    Reader,
    Writer,
    build,
    create_backbone,
    describe,
    is_frozen,
)
from metalab.checkpoints import SHIPPED, load_checkpoint, load_into, save_checkpoint
from metalab.config import Config
from metalab.data.questions import LABELS
from metalab.descent import descend
from metalab.errors import CheckpointError
from metalab.event_pretraining import pretrain_entities
from metalab.progress import Progress
from metalab.tasks import TaskSource, seeded
from metalab.writer_pretraining import pretrain_writer

BATCH = 256
"""Images per pre-training step."""
SCENES, PIXELS, GROUND = 32, 64, 0.15
"""Scenes per step, pixels of each, and how often one of the ground is drawn for one of an object."""
TEXTS, OUTSIDE = 24, 0.02
"""Texts per step, and how often a token that is no part of an answer counts."""
RATE, WARM = 3e-3, 50
"""Peak learning rate of pre-training, and steps until it is reached."""


def input_statistics(backbone: Backbone, source: TaskSource, seed: int) -> None:
    """Measure mean and deviation of meta-train images (1,024 of them) into the backbone.

    Text and events have none, and a network with ImageNet weights brings its own.
    """
    if isinstance(backbone, Reader | Writer | EfficientNet | Entities):
        return
    images, _ = source.labelled_batch(1024, seeded(backbone.input_mean.device, seed, "statistics"))
    backbone.input_mean.copy_(images.mean((0, 2, 3)))
    backbone.input_std.copy_(images.std((0, 2, 3)).clamp(min=1e-3))


def pretrain(backbone: Backbone, source: TaskSource, config: Config) -> Iterator[Progress]:
    """Train ``backbone`` in place for ``config.pretrain_steps`` steps, yielding progress.

    A linear classifier over all meta-train classes, AdamW with warm-up and a cosine schedule. Seeded.
    """
    if isinstance(backbone, Writer):
        yield from pretrain_writer(backbone, source, config)
        return
    if isinstance(backbone, Entities):
        yield from pretrain_entities(backbone, source, config)
        return
    device = backbone.input_mean.device
    input_statistics(backbone, source, config.seed)
    examples, classes, labelled = BATCH, source.n_train_classes, _images
    if isinstance(backbone, PixelBackbone):
        examples, classes, labelled = SCENES, classes + 1, _pixels
    elif isinstance(backbone, Reader):
        examples, classes, labelled = TEXTS, classes * LABELS, _tokens
    weight = torch.empty(classes, backbone.feature_dim, device=device)
    weight = nn.Parameter(nn.init.normal_(weight, std=0.01, generator=seeded(device, config.seed, "head")))
    bias = nn.Parameter(torch.zeros(classes, device=device))
    optimiser = torch.optim.AdamW([*backbone.parameters(), weight, bias], lr=RATE, weight_decay=5e-4)

    def objective(generator: torch.Generator) -> tuple[Tensor, Callable[[], Tensor]]:
        features, labels = labelled(backbone, source, generator)
        logits = F.linear(features, weight, bias)
        if labels.ndim == 2:  # of a token to every kind
            logits, labels = logits.view(-1, LABELS), labels.flatten()
        loss = F.cross_entropy(logits, labels, ignore_index=-1)
        return loss, lambda: (logits.argmax(1) == labels)[labels >= 0].float().mean()

    backbone.train()
    try:
        yield from descend(
            optimiser,
            objective,
            config.pretrain_steps,
            warm=WARM,
            examples=examples,
            device=device,
            seed=config.seed,
        )
    finally:
        backbone.eval()


def _images(backbone: Backbone, source: TaskSource, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    images, labels = source.labelled_batch(BATCH, generator)
    return backbone(images), labels


def _pixels(backbone: PixelBackbone, source: TaskSource, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return features (scenes * 64, d) and labels of some pixels of each scene, mostly of objects."""
    images, masks = source.labelled_scenes(SCENES, generator)
    labels = masks[:, ::2, ::2].flatten(1)
    chance = torch.where(labels > 0, 1.0, torch.where(labels < 0, 0.0, GROUND))
    chosen = torch.multinomial(chance, PIXELS, generator=generator)
    maps = backbone.levels(backbone.params(), images)[0].flatten(2).transpose(1, 2)
    features = maps.gather(1, chosen[..., None].expand(-1, -1, maps.shape[2]))
    return features.flatten(0, 1), labels.gather(1, chosen).flatten()


def _tokens(backbone: Reader, source: TaskSource, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return features (tokens, d) and labels (tokens, kinds), -1 for most that are outside of an answer."""
    texts, labels = source.labelled_questions(TEXTS, generator)
    labels = labels.flatten(0, 1)
    kept = torch.rand(labels.shape, device=labels.device, generator=generator) < OUTSIDE
    labels = torch.where((labels == 0) & ~kept, -1, labels)
    told = (labels >= 0).any(1)
    return backbone(texts)[told], labels[told]


def save_backbone(path: Path | str, backbone: Backbone, whole: bool = True) -> None:
    """Write ``backbone`` to a safetensors file; not ``whole``: without what a pip package holds.

    Raises :class:`StorageError`.
    """
    tensors = backbone.state_dict()
    meta = {"backbone": describe(backbone)}
    save_checkpoint(path, "backbone", tensors if whole else without_frozen(tensors), meta)


def without_frozen(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the ``tensors`` of a module less those of :meth:`Backbone.frozen_weights`."""
    return {name: held for name, held in tensors.items() if not is_frozen(name)}


def load_backbone(path: Path | str) -> Backbone:
    """Read what :func:`save_backbone` wrote; raises :class:`CheckpointError`."""
    tensors, meta = load_checkpoint(path, "backbone")
    try:
        backbone = build(meta["backbone"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"describes no known backbone ({error})", where=path) from None
    if backbone.frozen_weights().keys() - tensors.keys():
        # Files that come with metalab leave out what a pip package holds.
        tensors = backbone.restore_frozen().frozen_weights() | tensors
    load_into(backbone, tensors, path)
    return backbone.eval()


def photo_backbone(config: Config) -> Backbone:
    """Return the photo backbone with its ImageNet weights; raises :class:`CheckpointError`."""
    return create_backbone(config).eval()


def ready_backbone(config: Config) -> Backbone | None:
    """Return the pre-trained backbone that ``config.pretrained`` asks for; None: pre-train one.

    "auto" takes the shipped checkpoint if it is of the family, shape and normalisation asked for. Raises
    :class:`CheckpointError` for a file that cannot be used or is of another shape.
    """
    if config.backbone == "photo" and config.pretrained == "auto":
        return photo_backbone(config)
    path = SHIPPED / f"{config.backbone}.safetensors" if config.pretrained == "auto" else config.pretrained
    if path == "none" or (config.pretrained == "auto" and not path.is_file()):
        return None
    backbone, asked = load_backbone(path), describe(create_backbone(config))
    if isinstance(backbone, PixelBackbone):
        backbone.size = config.image_size  # it takes any
    held = describe(backbone)
    if isinstance(backbone, Entities) and (
        backbone.catalogue == config.source or config.pretrained != "auto"
    ):
        asked = {**held, "width": config.width}  # what it holds of entities is its source's affair
    if held == asked:
        return backbone
    if config.pretrained == "auto":
        return None
    other = ", ".join(
        f"{name} {held[name]} (asked: {asked[name]})" for name in asked if held[name] != asked[name]
    )
    raise CheckpointError(
        f"holds another backbone: {other}", where=path, fix="Change the configuration to it"
    )
