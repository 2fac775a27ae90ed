"""The checkpoints that come with metalab, and the command that makes them: ready without training."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from metalab.adaptation import describe, rebuild
from metalab.api import create_metalearner, create_pretrain_model
from metalab.applications import applications
from metalab.backbones import Backbone, create_backbone
from metalab.checkpoints import SHIPPED, load_checkpoint, save_checkpoint
from metalab.config import Config
from metalab.data import create_source
from metalab.errors import RunError
from metalab.evaluation import Evaluation, evaluate
from metalab.metalearners import MetaLearner, every_metalearner, get_metalearner, metalearners
from metalab.pretraining import load_backbone, pretrain, save_backbone, without_frozen
from metalab.progress import Progress
from metalab.runs import RunStore
from metalab.storage import atomic_write, to_json
from metalab.training import Trainer, task_shape

ON_PHOTOS: dict[str, Any] = {"backbone": "photo-pyramid"}
RECIPES: dict[str, dict[str, Any]] = {
    "protonet": {"steps": 1000},
    "maml": {
        "steps": 800,
        "train_query": 3,
        "validate_every": 400,
        "options": {"inner_steps": 1, "inner_lr": 0.01},
    },
    "film": {},
    "guided-masks": {},
    "guided-spans": {},
    "guided-boxes": {},
    "guided-masks-photo": {"metalearner": "guided-masks", **ON_PHOTOS},
    "set-taste": {},
    "bayes-taste": {},
    "set-clicks": {},
    "bayes-clicks": {},
    "word-film": {},
    "summarise-choose": {},
    "translate-choose": {},
    "guided-boxes-photo": {"metalearner": "guided-boxes", **ON_PHOTOS},
}
"""Settings of each shipped meta-learner, chosen on meta-validation; everything else is the default.

A name that is no meta-learner's says which one it is: the same, on another backbone."""
UNTRAINED: dict[str, dict[str, Any]] = {
    "pixel-lrd2-photo": {"application": "segmentation", "metalearner": "pixel-lrd2", **ON_PHOTOS}
}
"""Ready meta-learners that need no meta-training: a head on a shipped backbone, no file of their own."""
BACKBONE_RECIPES: dict[str, dict[str, Any]] = {"photo-pyramid": {"pretrain_steps": 1200}}
"""Settings of shipped backbones that are not their application's."""
VOCABULARIES = {"documents": "metalab.data.summary_source", "languages": "metalab.data.catalogue_source"}
"""The module that makes each shipped vocabulary."""
TABLE = "evaluation.json"
"""The evaluation of all shipped meta-learners together, beside their weights."""
LEADERBOARD = SHIPPED / "leaderboard.json"
"""Every method under one small budget, as ``python -m metalab bench methods`` measured it."""


@dataclass(frozen=True)
class Shipped:
    """A trained meta-learner: its file, its configuration, and the seconds that meta-training took."""

    name: str
    path: Path
    config: Config
    seconds: int


def shipped(application: str = "image-classification") -> dict[str, Shipped]:
    """Return the shipped meta-learners of ``application`` by name, in the order of the registry.

    Those on another backbone than the application's own come last.
    """
    found, known = {}, metalearners(application)
    for name in [*known, *(name for name, held in RECIPES.items() if held.get("metalearner") in known)]:
        path = SHIPPED / f"{name}.safetensors"
        if path.is_file():
            meta = load_checkpoint(path, "metalearner")[1]
            found[name] = Shipped(name, path, Config.create(**meta["config"]), meta["seconds"])
    return found


def _files() -> list[str]:
    """Return the names of the shipped meta-learners of all applications."""
    return [name for name in RECIPES if (SHIPPED / f"{name}.safetensors").is_file()]


def untrained(application: str) -> dict[str, Path]:
    """Return the names of the ready meta-learners of ``application`` that need no meta-training, each with
    the file of the backbone under it."""
    found = {}
    for name, settings in UNTRAINED.items():
        path = SHIPPED / f"{settings['backbone']}.safetensors"
        if settings["application"] == application and path.is_file():
            found[name] = path
    return found


def shipped_evaluation() -> dict[str, Any] | None:
    """Return the table of the shipped meta-learners and the baselines (as :class:`Evaluation`), if any."""
    path = SHIPPED / TABLE
    return json.loads(path.read_bytes()) if path.is_file() else None


def shipped_leaderboard() -> dict[str, Any] | None:
    """Return the leaderboard that comes with metalab (``budget``, ``evaluation``, ``costs``), if any."""
    return json.loads(LEADERBOARD.read_bytes()) if LEADERBOARD.is_file() else None


def first_shipped(application: str) -> MetaLearner:
    """Return the first shipped meta-learner of ``application``. Raises :class:`RunError` for none."""
    name = next(iter(shipped(application)), None)
    if name is None:
        raise RunError(
            f"no ready model for {application} comes with this version",
            where="--model",
            fix=f"Train one (python -m metalab train --application {application}) and give its run's id",
        )
    return load_trained(name).metalearner


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
    if which in UNTRAINED:
        config = Config.create(**UNTRAINED[which])
        backbone = load_backbone(SHIPPED / f"{config.backbone}.safetensors").frozen_copy()
        learner = create_metalearner(config.metalearner, backbone, **config.options)
        return Trained(learner.eval(), backbone, config)
    path, backbone = SHIPPED / f"{which}.safetensors", None
    if which not in every_metalearner() | RECIPES.keys() or not path.is_file():
        store = RunStore()
        if which not in {run.id for run in store.list()}:
            raise RunError(
                "neither a shipped model nor a run",
                where=which,
                fix=f"Shipped: {', '.join(_files())}; runs: python -m metalab runs",
            )
        run = store.get(which)
        path, backbone = run.checkpoint("best"), run.checkpoint("pretrained")
        if not path.is_file():
            raise RunError("has no trained model yet", where=run.id, fix="Wait until its training is over")
    tensors, meta = load_checkpoint(path, "metalearner")
    config = Config.create(**meta["config"])
    backbone = backbone or SHIPPED / f"{config.backbone}.safetensors"
    return Trained(rebuild(meta, tensors, path), load_backbone(backbone).frozen_copy(), config)


def recipe(name: str) -> Config:
    """Return the configuration of shipped meta-learner ``name``."""
    given = {"metalearner": name, **RECIPES.get(name, {})}
    return Config.create(application=get_metalearner(given["metalearner"]).application, **given)


def backbone_recipe(name: str) -> Config:
    """Return the configuration by which shipped backbone ``name`` is pre-trained."""
    of = next(one.name for one in applications().values() if name in one.backbones)
    return Config.create(application=of, backbone=name, **BACKBONE_RECIPES.get(name, {}))


def ship_vocabulary(name: str, path: Path) -> None:
    """Learn vocabulary ``name`` from meta-train texts and write it to ``path``."""
    import_module(VOCABULARIES[name]).make_vocabulary().save(path)


def ship_backbone(config: Config, path: Path) -> Iterator[Progress]:
    """Pre-train the backbone of ``config`` and write it to ``path``."""
    source = create_source(config)
    backbone = create_backbone(config)
    yield from pretrain(backbone, source, config)
    save_backbone(path, backbone, whole=False)


def ship_metalearner(config: Config, path: Path) -> Iterator[Progress]:
    """Meta-train by ``config`` and write the checkpoint to ``path``."""
    source = create_source(config)
    backbone = create_pretrain_model(config, source)
    learner = create_metalearner(config.metalearner, backbone, seed=config.seed, **config.options)
    started = time.monotonic()
    yield from Trainer(learner, source, config).run()
    seconds = round(time.monotonic() - started)
    meta = {"config": config.model_dump(mode="json"), "seconds": seconds, **describe(learner)}
    save_checkpoint(path, "metalearner", without_frozen(learner.state_dict()), meta)


def ship_evaluation(folder: Path) -> Iterator[Progress | Evaluation]:
    """Evaluate all shipped meta-learners on the same held-out tasks and write the table into ``folder``."""
    config = Config.create()
    source, trained = create_source(config), {name: load_trained(name) for name in shipped()}
    learners = {name: one.metalearner for name, one in trained.items()}
    pretrained = next(iter(trained.values())).pretrained
    shape = task_shape(config, "test", source)
    for item in evaluate(learners, pretrained, source, shape, config.test_tasks):
        if isinstance(item, Evaluation):
            atomic_write(folder / TABLE, to_json(item.as_dict(), indent=1))
        yield item
