"""What meta-learning must beat on clicks: rates, logistic regression, boosting, learning online."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metalab.backbones.entities import Entities
from metalab.baselines import Method
from metalab.baselines_events import folded_in, from_scratch, un_adapted
from metalab.data.event_source import EventSource
from metalab.tasks import Task

RIDGE, SCRATCH = 10.0, 10.0
"""Of the head on frozen features, and of that on an impression's features; chosen on meta-validation."""
MOST_ROWS = 400_000
"""Impressions that models of all campaigns learn from, at most."""
FTRL_ALPHA, FTRL_BETA, FTRL_L2 = 0.1, 1.0, 1.0
"""Of the online learner (McMahan et al. 2013, algorithm 1)."""
FEWEST = 20
"""Impressions of a campaign from which its rate counts for the spread of rates."""


def base_rate(backbone: Entities) -> Method:
    """The mean rate of meta-train."""

    def method(task: Task, number: int) -> Tensor:
        return backbone.offset.expand(len(task.query.x), 1)

    return method


def campaign_rate(backbone: Entities, source: EventSource) -> Method:
    """The campaign's own rate, with a Beta prior fitted to the rates of meta-train campaigns by moments."""
    first, other = beta_prior(source)

    def method(task: Task, number: int) -> Tensor:
        weights = task.support.weights()
        clicked = (task.support.y[:, 0] * weights).sum()
        rate = (clicked + first) / (weights.sum() + first + other)
        return rate.logit().expand(len(task.query.x), 1)

    return method


def beta_prior(source: EventSource) -> tuple[float, float]:
    """Return the parameters of the Beta distribution with the mean and spread of meta-train rates."""
    events = source.events
    tasks = source.tasks["train"]
    counts = events.counts[tasks]
    clicks = np.array([events.outcome[events.rows(int(i))].sum() for i in tasks])
    rates, counts = (clicks / counts.clip(1))[counts >= FEWEST], counts[counts >= FEWEST]
    if len(rates) < 2:
        return 1.0, 1.0
    mean = float(rates.mean().clip(1e-4, 1 - 1e-4))
    chance = mean * (1 - mean) * float((1 / counts).mean())  # of the spread, what chance alone makes
    spread = max(float(rates.var()) - chance, 1e-6)
    size = max(mean * (1 - mean) / spread - 1, 1.0)
    return mean * size, (1 - mean) * size


def _train(source: EventSource) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return features and outcomes of meta-train impressions."""
    rows = source.events.rows_of(source.tasks["train"])
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    held = source.examples(rows, source.events.task_of()[rows])
    return held.x[:, 1:].cpu().numpy(), held.y[:, 0].cpu().numpy()


def _logistic(source: EventSource) -> tuple[NDArray[np.float64], float]:
    """Return weights and intercept of one logistic regression over all meta-train campaigns."""
    from sklearn.linear_model import LogisticRegression

    x, y = _train(source)
    model = LogisticRegression(C=1.0, max_iter=200).fit(x, y > 0.5)
    return model.coef_[0], float(model.intercept_[0])


def logistic(backbone: Entities, source: EventSource) -> Method:
    """One logistic regression on the features, for all campaigns alike."""
    weights, intercept = _logistic(source)
    weights = torch.from_numpy(weights).to(backbone.offset)

    def method(task: Task, number: int) -> Tensor:
        return (intercept + task.query.x[:, 1:] @ weights).unsqueeze(-1)

    return method


def boosted(backbone: Entities, source: EventSource) -> Method:
    """Gradient boosting (scikit-learn's) on the features, for all campaigns alike."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, y = _train(source)
    model = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.08, random_state=0).fit(x, y > 0.5)

    def method(task: Task, number: int) -> Tensor:
        found = model.decision_function(task.query.x[:, 1:].cpu().numpy())
        return torch.from_numpy(found).to(task.query.x).unsqueeze(-1)

    return method


def online(backbone: Entities, source: EventSource) -> Method:
    """FTRL-proximal (McMahan et al. 2013): goes on from the regression over all campaigns, impression after
    impression of the new one, with a step size for each coordinate."""
    weights, intercept = _logistic(source)
    start = np.append(weights, intercept)

    def method(task: Task, number: int) -> Tensor:
        rows = backbone.with_one(task.support.x[:, 1:]).cpu().numpy().astype(np.float64)
        kept = task.support.weights().bool().cpu().numpy()
        change = followed(rows[kept], task.support.y[:, 0].cpu().numpy()[kept], start)
        asked = backbone.with_one(task.query.x[:, 1:])
        return (asked @ torch.from_numpy(start + change).to(asked)).unsqueeze(-1)

    return method


def followed(
    rows: NDArray[np.float64], outcomes: NDArray[np.float32], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return by how much weights ``start`` (d,) change as ``rows`` (n, d) come one after the other."""
    z, n, change = (np.zeros_like(start) for _ in range(3))
    for row, outcome in zip(rows, outcomes, strict=True):
        change = -z / ((FTRL_BETA + np.sqrt(n)) / FTRL_ALPHA + FTRL_L2)
        slope = (1 / (1 + np.exp(-row @ (start + change))) - outcome) * row
        rate = (np.sqrt(n + slope**2) - np.sqrt(n)) / FTRL_ALPHA
        z += slope - rate * change
        n += slope**2
    return -z / ((FTRL_BETA + np.sqrt(n)) / FTRL_ALPHA + FTRL_L2)


ADVERT_BASELINES = [
    ("un-adapted", "Un-adapted", un_adapted),
    ("from-scratch", "From scratch on the support set (logistic on the features)", from_scratch(SCRATCH)),
    ("base-rate", "Mean rate of all campaigns", base_rate),
    ("folded-in", "Factorisation, folded in (frozen features + logistic)", folded_in(RIDGE)),
]
ADVERT_FITTED = (
    ("campaign-rate", "The campaign's own rate (Beta prior)", campaign_rate),
    ("logistic", "Logistic regression over all campaigns", logistic),
    ("boosting", "Gradient boosting over all campaigns", boosted),
    ("online", "The same regression, learning on online (FTRL)", online),
)
