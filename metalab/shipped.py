"""The checkpoints that come with metalab, and the command that makes them: ready without training."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metalab.adaptation import describe, rebuild
from metalab.api import create_metalearner, create_pretrain_model
from metalab.backbones import Backbone, create_backbone
from metalab.checkpoints import SHIPPED, load_checkpoint, save_checkpoint
from metalab.config import Config
from metalab.data import create_source
from metalab.errors import RunError
from metalab.evaluation import Evaluation, evaluate
from metalab.metalearners import MetaLearner, metalearners
from metalab.pretraining import load_backbone, pretrain, save_backbone
from metalab.progress import Progress
from metalab.runs import RunStore
from metalab.training import Trainer, task_shape

RECIPES: dict[str, dict[str, Any]] = {
    "protonet": {"steps": 1000},
    "maml": {"steps": 600, "train_query": 3, "validate_every": 200},
    "film": {"steps": 900},
}
"""Settings of each shipped meta-learner, chosen on meta-validation; everything else is the default."""


@dataclass(frozen=True)
class Shipped:
    """A trained meta-learner: its file, its configuration, and its evaluation when it was made."""

    name: str
    path: Path
    config: Config
    evaluation: dict[str, Any]


def shipped() -> dict[str, Shipped]:
    """Return the shipped meta-learners by name, in the order of the registry."""
    found = {}
    for name in metalearners():
        path = SHIPPED / f"{name}.safetensors"
        if path.is_file():
            meta = load_checkpoint(path, "metalearner")[1]
            found[name] = Shipped(name, path, Config.create(**meta["config"]), meta["evaluation"])
    return found


@dataclass(frozen=True)
class Trained:
    """A trained meta-learner with the configuration and the pre-trained backbone that it comes from."""

    metalearner: MetaLearner
    pretrained: Backbone
    config: Config


def load_trained(which: str) -> Trained:
    """Return the meta-learner ``which``: the name of a shipped one, or the id of a run.

    Raises :class:`RunError` when there is neither, and :class:`CheckpointError`.
    """
    path, backbone = SHIPPED / f"{which}.safetensors", None
    if which not in metalearners() or not path.is_file():
        run = RunStore().get(which)
        path, backbone = run.checkpoint("best"), run.checkpoint("pretrained")
        if not path.is_file():
            raise RunError("has no trained model yet", where=run.id, fix="Wait until its training is over")
    tensors, meta = load_checkpoint(path, "metalearner")
    config = Config.create(**meta["config"])
    backbone = backbone or SHIPPED / f"{config.backbone}.safetensors"
    return Trained(rebuild(meta, tensors, path), load_backbone(backbone).frozen_copy(), config)


def recipe(name: str) -> Config:
    """Return the configuration of shipped meta-learner ``name``."""
    return Config.create(metalearner=name, **RECIPES.get(name, {}))


def ship_backbone(config: Config, path: Path) -> Iterator[Progress]:
    """Pre-train the backbone of ``config`` and write it to ``path``."""
    source = create_source(config)
    backbone = create_backbone(config)
    yield from pretrain(backbone, source, config)
    save_backbone(path, backbone)


def ship_metalearner(config: Config, path: Path) -> Iterator[Progress | Evaluation]:
    """Meta-train, evaluate on the held-out tasks of ``config``, and write the checkpoint to ``path``."""
    source = create_source(config)
    backbone = create_pretrain_model(config, source)
    learner = create_metalearner(config.metalearner, backbone, seed=config.seed, **config.options)
    started = time.monotonic()
    yield from Trainer(learner, source, config).run()
    seconds = time.monotonic() - started
    shape, evaluation = task_shape(config, "test", source), None
    pretrained = copy.deepcopy(backbone).requires_grad_(False)
    for item in evaluate(learner, pretrained, source, shape, config.test_tasks):
        evaluation = item if isinstance(item, Evaluation) else evaluation
        yield item
    meta = {
        "config": config.model_dump(mode="json"),
        "evaluation": {**evaluation.as_dict(), "seconds": round(seconds)} if evaluation else {},
        **describe(learner),
    }
    save_checkpoint(path, "metalearner", learner.state_dict(), meta)
