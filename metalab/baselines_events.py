"""What meta-learning must beat on events, for ratings and clicks alike: heads on the frozen encoder."""

from __future__ import annotations

import torch
from torch import Tensor

from metalab.backbones.entities import Entities
from metalab.baselines import Method
from metalab.tasks import Examples, Task

NEWTON = 8
"""Steps of a logistic head."""


def un_adapted(backbone: Entities) -> Method:
    """The mean head of meta-train tasks: what an unknown task gets."""

    def method(task: Task, number: int) -> Tensor:
        outputs = backbone.with_one(backbone(task.query.x)) @ backbone.prior_mean
        return (backbone.offset + backbone.known_mean(task.query.x) + outputs).unsqueeze(-1)

    return method


def folded_in(strength: float):
    """Return the maker of a ridge (for clicks logistic) head on frozen features, which is how a factorisation
    takes in a new user; ``strength`` pulls the head towards the mean head of meta-train tasks."""

    def baseline(backbone: Entities) -> Method:
        def method(task: Task, number: int) -> Tensor:
            rows = backbone.with_one(backbone(task.support.x))
            base = backbone.offset + backbone.known_mean(task.support.x) + rows @ backbone.prior_mean
            change = fitted_head(rows, base, task.support, strength, backbone.clicks)
            outputs = backbone.with_one(backbone(task.query.x)) @ (backbone.prior_mean + change)
            return (backbone.offset + backbone.known_mean(task.query.x) + outputs).unsqueeze(-1)

        return method

    return baseline


def from_scratch(strength: float):
    """Return the maker of a ridge (for clicks logistic) head on what describes an event, its features alone,
    learnt from the support set alone."""

    def baseline(backbone: Entities) -> Method:
        def method(task: Task, number: int) -> Tensor:
            weights, y = task.support.weights(), task.support.y[:, 0]
            mean = (y * weights).sum() / weights.sum()
            if backbone.clicks:  # one click and one miss more: a set without clicks has a logit, too
                mean = ((y * weights).sum() + 1).log() - (((1 - y) * weights).sum() + 1).log()
            rows, asked = backbone.with_one(task.support.x[:, 1:]), backbone.with_one(task.query.x[:, 1:])
            change = fitted_head(rows, mean.expand(len(rows)), task.support, strength, backbone.clicks)
            return (mean + asked @ change).unsqueeze(-1)

        return method

    return baseline


def fitted_head(rows: Tensor, base: Tensor, support: Examples, strength: float, clicks: bool) -> Tensor:
    """Return the head (d,) on ``rows`` (n, d) that best explains what ``base`` (n,) leaves of the outcomes,
    with a ridge of ``strength``."""
    weights, y = support.weights(), support.y[:, 0]
    ridge = strength * torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    head = rows.new_zeros(rows.shape[1])
    for _ in range(NEWTON if clicks else 1):
        outputs = base + rows @ head
        chance = outputs.sigmoid() if clicks else outputs
        curve = weights * chance * (1 - chance) if clicks else weights
        slope = rows.t() @ ((y - chance) * weights) - strength * head
        head = head + torch.linalg.solve(rows.t() @ (rows * curve.unsqueeze(-1)) + ridge, slope)
    return head
