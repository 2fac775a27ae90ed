"""Look into task learning: one task at every moment of its adaptation, ready to be drawn."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from metalab.backbones import Backbone
from metalab.baselines import nearest_centroid
from metalab.embeddings import Embedding, Scores, linear_cka, scores
from metalab.metalearners import MetaLearner
from metalab.metalearners.base import task_loss
from metalab.tasks import Examples, Task

BEFORE = "pre-trained"
"""Name of the stage before meta-learning: the pre-trained backbone, classified by nearest centroid."""
BACKGROUND = "(background)"
"""Name of the first class of a view of pictures: places where none of the task's classes is."""
MAX_STAGES = 24
"""States of a path that are looked at: enough to draw, however many inner steps there are."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One moment. ``features`` (points, d) float32, ``probabilities`` (n_query, way), ``accuracy`` 0..1.

    ``support_loss`` is the mean cross-entropy on the support set, which an inner loop descends; None where
    there is none: before meta-learning, and in transductive methods, which judge the query set as a whole.
    """

    name: str
    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    accuracy: float
    support_loss: float | None = None


@dataclass(frozen=True, eq=False)
class TaskView:
    """A task seen at every stage; points are the support examples, then the query examples.

    ``images`` (points, C, H, W) floats 0..1, ``labels`` (points,) indices of ``classes``, ``support``
    (points,) bool, ``seconds``: time that adapting and predicting took, without the other stages.
    ``examples`` (points, ...) is what the backbone takes where that is no image, as records of photos; it is
    not kept with runs.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    support: NDArray[np.bool_]
    classes: list[str]
    stages: list[Stage]
    seconds: float
    examples: NDArray[np.float32] | None = None

    @property
    def features(self) -> dict[str, NDArray[np.float32]]:
        """Features by stage, as :func:`metalab.embeddings.embed` takes them."""
        return {stage.name: stage.features for stage in self.stages}

    def stage(self, name: str) -> Stage:
        """Return the stage called ``name``."""
        return next(stage for stage in self.stages if stage.name == name)

    def support_set(self) -> Examples:
        """Return what was adapted to, as the backbone takes it."""
        held = self.images if self.examples is None else self.examples
        return Examples(*(torch.from_numpy(part[self.support]) for part in (held, self.labels)))

    def right(self, stage: Stage) -> NDArray[np.bool_]:
        """Return for each query example (n_query,) whether ``stage`` predicts it rightly."""
        return stage.probabilities.argmax(1) == self.labels[~self.support]

    def loss(self, stage: Stage) -> float:
        """Return the mean cross-entropy of ``stage`` on the query set, in nats."""
        chances = stage.probabilities[np.arange(len(stage.probabilities)), self.labels[~self.support]]
        return float(-np.log(chances.clip(1e-12)).mean())

    def confidence(self, stage: Stage) -> float:
        """Return the mean probability, 0..1, that ``stage`` gives to what it predicts for the query set."""
        return float(stage.probabilities.max(1).mean())

    def surest_mistakes(self, stage: Stage, most: int = 10) -> NDArray[np.int64]:
        """Return which query examples ``stage`` gets wrong, the most confident first, at most ``most``."""
        order = np.argsort(-stage.probabilities.max(1), kind="stable")
        return order[~self.right(stage)[order]][:most]

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the arrays and the JSON-able rest, for the run store."""
        arrays = {"images": self.images, "labels": self.labels, "support": self.support}
        for number, stage in enumerate(self.stages):
            arrays |= {f"features.{number}": stage.features, f"probabilities.{number}": stage.probabilities}
        stages = [
            {"name": stage.name, "accuracy": stage.accuracy, "support_loss": stage.support_loss}
            for stage in self.stages
        ]
        return arrays, {"classes": self.classes, "stages": stages, "seconds": self.seconds}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> TaskView:
        """Undo :meth:`to_arrays`."""
        stages = [
            Stage(
                item["name"],
                arrays[f"features.{i}"],
                arrays[f"probabilities.{i}"],
                item["accuracy"],
                item.get("support_loss"),  # views of earlier versions have none
            )
            for i, item in enumerate(metadata["stages"])
        ]
        return cls(
            arrays["images"],
            arrays["labels"],
            arrays["support"].astype(bool),
            list(metadata["classes"]),
            stages,
            metadata["seconds"],
        )


@torch.no_grad()
def inspect_task(
    metalearner: MetaLearner, pretrained: Backbone, task: Task, classes: list[str] | None = None
) -> TaskView:
    """Adapt to ``task`` and look at every stage: the pre-trained backbone, then each state of the path.

    Of a path of more than :data:`MAX_STAGES` states as many are kept, evenly. ``classes`` names the task's
    classes in the order of its labels.
    """
    x = torch.cat([task.support.x, task.query.x])
    started = time.perf_counter()
    state = metalearner.adapt(task.support, task.way)
    metalearner.predict(state, task.query.x)
    seconds = time.perf_counter() - started

    stages = [_stage(BEFORE, pretrained(x), nearest_centroid(pretrained)(task, 0), task)]
    n_support = len(task.support.y)
    path = list(metalearner.path(task.support, task.way).items())
    kept = np.linspace(0, len(path) - 1, min(len(path), MAX_STAGES)).round().astype(int)
    for name, state in (path[i] for i in kept):
        features, loss = metalearner.features(state, x), None
        if metalearner.transductive:
            logits = metalearner.predict(state, task.query.x)
        else:
            both = metalearner.classify(state, features)
            logits, loss = both[n_support:], task_loss(both[:n_support], task.support).item()
        stages.append(_stage(name, features, logits, task, loss))
    labels = torch.cat([task.support.y, task.query.y]).cpu().numpy()
    pictures = pretrained.pictures(x)
    return TaskView(
        pictures.float().cpu().numpy(),
        labels,
        np.arange(len(labels)) < n_support,
        classes or [f"class {number + 1}" for number in range(task.way)],
        stages,
        seconds,
        None if pictures is x else x.float().cpu().numpy(),
    )


def _stage(
    name: str, features: Tensor, logits: Tensor, task: Task, support_loss: float | None = None
) -> Stage:
    right = (logits.argmax(1) == task.query.y).float().mean().item()
    return Stage(name, features.float().cpu().numpy(), _chances(logits), right, support_loss)


def _chances(logits: Tensor) -> NDArray[np.float32]:
    return F.softmax(logits, 1).float().cpu().numpy()


@torch.no_grad()
def probabilities_along(
    metalearner: MetaLearner, support: Examples, way: int, x: Tensor
) -> dict[str, NDArray[np.float32]]:
    """Return class probabilities (n, way) of ``x`` (n, C, H, W) at each state of the path, by its name."""
    path = metalearner.path(support, way)
    return {name: _chances(metalearner.predict(state, x)) for name, state in path.items()}


@dataclass(frozen=True, slots=True)
class Separation:
    """Numbers beside the picture: before → after adaptation, and how alike the two feature spaces are."""

    before: Scores
    after: Scores
    cka: float | None


def separation(view: TaskView, embedding: Embedding) -> Separation:
    """Score the first and the last stage of ``view``; trustworthiness is that of ``embedding``."""
    first, last = view.stages[0].features, view.stages[-1].features
    return Separation(
        scores(first, view.labels, embedding.coordinates[0]),
        scores(last, view.labels, embedding.coordinates[-1]),
        linear_cka(first, last),
    )
