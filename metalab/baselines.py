"""The baselines that meta-learning must beat: what a user can have without it, on the same tasks."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones import Backbone
from metalab.metalearners.base import class_means, squared_distances
from metalab.tasks import Task, seeded

SCRATCH_STEPS, SCRATCH_RATE = 100, 3e-3
FINETUNE_STEPS = 100

Method = Callable[[Task, int], Tensor]
"""(task, number of the task) → logits (n_query, way)."""
Baseline = Callable[[Backbone], Method]


def _unadapted(backbone: Backbone) -> Method:
    """The pre-trained backbone under a random head that has seen no example of the task: chance level."""

    def method(task: Task, number: int) -> Tensor:
        features = backbone(task.query.x)
        head = torch.randn(
            task.way, features.shape[1], device=features.device, generator=seeded(features.device, number)
        )
        return F.normalize(features, dim=1) @ head.t()

    return method


def _from_scratch(backbone: Backbone) -> Method:
    """The same architecture (photos: a small one), newly initialised, trained with a linear head on the
    support set alone.

    Adam, at most 100 full-batch steps, until the training loss is below 0.01 (settings chosen on
    meta-validation). Running statistics, if any, are those of the support set at the end.
    """

    def method(task: Task, number: int) -> Tensor:
        with torch.enable_grad():
            model = backbone.from_scratch(number).requires_grad_(True).train()
            model.momentum = 1.0
            head = nn.Parameter(torch.zeros(task.way, model.feature_dim, device=task.support.x.device))
            optimiser = torch.optim.Adam([*model.parameters(), head], lr=SCRATCH_RATE)
            for _ in range(SCRATCH_STEPS):
                loss = F.cross_entropy(model(task.support.x) @ head.t(), task.support.y)
                if loss.item() < 0.01:
                    break
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            model(task.support.x)  # measures the statistics under the last parameters
        return model.eval()(task.query.x) @ head.t()

    return method


def nearest_centroid(backbone: Backbone) -> Method:
    """Frozen pre-trained features, unit length, and the nearest class mean (SimpleShot's L2N)."""

    def method(task: Task, number: int) -> Tensor:
        support = F.normalize(backbone(task.support.x), dim=1)
        means = class_means(support, task.support, task.way)
        return -squared_distances(F.normalize(backbone(task.query.x), dim=1), means)

    return method


def _logistic_regression(backbone: Backbone) -> Method:
    """Frozen pre-trained features, unit length, and logistic regression (RFS, Tian et al. 2020)."""
    from sklearn.linear_model import LogisticRegression

    def method(task: Task, number: int) -> Tensor:
        support = F.normalize(backbone(task.support.x), dim=1).cpu().numpy()
        query = F.normalize(backbone(task.query.x), dim=1).cpu().numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(C=10.0, max_iter=1000).fit(support, task.support.y.cpu().numpy())
        scores = model.decision_function(query)
        if task.way == 2:
            scores = np.stack([-scores, scores], axis=1)
        return torch.from_numpy(scores).to(task.query.x)

    return method


def _fine_tuned(backbone: Backbone) -> Method:
    """Baseline: frozen features and a linear head, fine-tuned by gradient descent (Chen et al. 2019)."""

    def logits(features: Tensor, weight: Tensor) -> Tensor:
        return F.linear(features, weight[:, :-1], weight[:, -1])

    return _head_trainer(backbone, logits, rate=0.01)


def _cosine_fine_tuned(backbone: Backbone) -> Method:
    """Baseline++: as Baseline, with ten times the cosine to a class's weight as its logit."""

    def logits(features: Tensor, weight: Tensor) -> Tensor:
        return 10 * F.normalize(features, dim=1) @ F.normalize(weight[:, :-1], dim=1).t()

    return _head_trainer(backbone, logits, rate=0.1)


def _head_trainer(backbone: Backbone, logits: Callable[[Tensor, Tensor], Tensor], rate: float) -> Method:
    """Train a head (way, d + 1) on frozen features: 100 full-batch steps of Adam, a seeded random start."""

    def method(task: Task, number: int) -> Tensor:
        features, generator = backbone(task.support.x), seeded(task.support.x.device, number, "head")
        with torch.enable_grad():
            shape = (task.way, features.shape[1] + 1)
            weight = torch.randn(shape, device=features.device, generator=generator) / shape[1] ** 0.5
            weight.requires_grad_()
            optimiser = torch.optim.Adam([weight], lr=rate)
            for _ in range(FINETUNE_STEPS):
                optimiser.zero_grad()
                F.cross_entropy(logits(features, weight), task.support.y).backward()
                optimiser.step()
        return logits(backbone(task.query.x), weight.detach())

    return method


BASELINES: list[tuple[str, str, Baseline]] = [
    ("un-adapted", "Un-adapted", _unadapted),
    ("nearest-centroid", "Frozen features + nearest centroid", nearest_centroid),
    ("logistic-regression", "Frozen features + logistic regression", _logistic_regression),
    ("fine-tuned", "Baseline (fine-tuned head)", _fine_tuned),
    ("cosine-fine-tuned", "Baseline++ (cosine head)", _cosine_fine_tuned),
    ("from-scratch", "From scratch on the support set", _from_scratch),
]
