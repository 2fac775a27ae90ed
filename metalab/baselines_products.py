"""What meta-learning must beat on ratings: popularity, means, biases, neighbours, factorisation, boosting."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metalab.backbones.entities import Entities
from metalab.baselines import Method
from metalab.baselines_events import folded_in, from_scratch, un_adapted
from metalab.data.event_source import EventSource
from metalab.tasks import Examples, Task, TaskShape, seeded

RIDGE, SCRATCH = 40.0, 50.0
"""Of the head on frozen features, and of that on a product's features; chosen on meta-validation."""
SHRINK = 4.0
"""Ratings that a user's bias is shrunk by."""
NEIGHBOUR_SHRINK = 20.0
"""Users in common that a similarity of products is shrunk by."""
BOOSTED_TASKS = 1500
"""Meta-train tasks that boosting learns from."""


def number_of(x: Tensor) -> Tensor:
    """Return the products' numbers (n,)."""
    return x[:, 0].long()


def item_mean(backbone: Entities) -> Method:
    """The product's mean rating in meta-train."""

    def method(task: Task, number: int) -> Tensor:
        return (backbone.offset + backbone.average[number_of(task.query.x)]).unsqueeze(-1)

    return method


def popularity(backbone: Entities) -> Method:
    """How often the product was rated in meta-train: an order, no rating."""

    def method(task: Task, number: int) -> Tensor:
        return backbone.met[number_of(task.query.x)].unsqueeze(-1)

    return method


def bias(support: Examples, backbone: Entities) -> Tensor:
    """Return by how much the user rates above the products' means, shrunk to 0."""
    weights = support.weights()
    error = support.y[:, 0] - backbone.offset - backbone.average[number_of(support.x)]
    return (error * weights).sum() / (weights.sum() + SHRINK)


def biased(backbone: Entities) -> Method:
    """The product's mean and the user's bias (Koren, Bell, Volinsky 2009, equation 3)."""
    base = item_mean(backbone)

    def method(task: Task, number: int) -> Tensor:
        return base(task, number) + bias(task.support, backbone)

    return method


def user_mean(backbone: Entities) -> Method:
    """The mean of the user's ratings."""

    def method(task: Task, number: int) -> Tensor:
        weights = task.support.weights()
        error = (task.support.y[:, 0] - backbone.offset) * weights
        mean = backbone.offset + error.sum() / (weights.sum() + SHRINK)
        return mean.expand(len(task.query.x), 1)

    return method


def neighbours(backbone: Entities, source: EventSource) -> Method:
    """Item-kNN: ratings above expectation carry over to products that the same users rated alike
    (Sarwar et al. 2001), similarities shrunk."""
    similar = torch.from_numpy(_similarities(backbone, source)).to(backbone.average)

    def method(task: Task, number: int) -> Tensor:
        user, support = bias(task.support, backbone), number_of(task.support.x)
        base = backbone.offset + backbone.average[number_of(task.query.x)] + user
        left = task.support.y[:, 0] - backbone.offset - backbone.average[support] - user
        near = similar[number_of(task.query.x)][:, support] * task.support.weights()
        change = near @ left / (near.abs().sum(1) + 0.5)
        return (base + change).unsqueeze(-1)

    return method


def _similarities(backbone: Entities, source: EventSource) -> NDArray[np.float32]:
    """Return shrunk cosines (entities + 1, entities + 1) of products' ratings, less what biases explain."""
    from scipy.sparse import csr_matrix

    events, rows = source.events, source.train_rows()
    place = np.full(len(events), -1)
    place[source.factored] = np.arange(len(source.factored))
    task, number = place[events.task_of()[rows]], source.known[events.entity[rows]]
    left = events.outcome[rows] - backbone.offset.item() - backbone.average.cpu().numpy()[number]
    counts = np.bincount(task, minlength=len(source.factored))
    left -= (np.bincount(task, left, minlength=len(counts)) / (counts + SHRINK))[task]
    size = (len(counts), source.n_entities + 1)
    table = csr_matrix((left.astype(np.float32), (task, number)), size)
    both = csr_matrix((np.ones_like(left, dtype=np.float32), (task, number)), size)
    products = (table.T @ table).toarray()
    lengths = np.sqrt(products.diagonal()).clip(1e-6)
    common = (both.T @ both).toarray()
    found = products / np.outer(lengths, lengths) * common / (common + NEIGHBOUR_SHRINK)
    found[0], found[:, 0] = 0, 0
    return found.astype(np.float32)


def boosted(backbone: Entities, source: EventSource) -> Method:
    """Gradient boosting (scikit-learn's) over the product, the support set's means, and how the user liked
    products with the same features; learnt from meta-train tasks of 5, 10 and 20 ratings, as far as
    users have so many."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    inputs, outcomes = [], []
    for shot in [shot for shot in (5, 10, 20) if len(source.eligible("train", shot))] or [1]:
        drawn = source.sample(
            BOOSTED_TASKS // 3, "train", TaskShape(1, shot, 20), seeded("cpu", 0, "boosting", shot)
        )
        for task in drawn:
            kept = task.query.weights().bool()
            inputs.append(_described(task, backbone)[kept.numpy()])
            outcomes.append(task.query.y[kept][:, 0].numpy())
    model = HistGradientBoostingRegressor(max_iter=200, learning_rate=0.05, random_state=0)
    model.fit(np.concatenate(inputs), np.concatenate(outcomes))

    def method(task: Task, number: int) -> Tensor:
        found = model.predict(_described(task, backbone))
        return torch.from_numpy(found).to(task.query.x).unsqueeze(-1)

    return method


def _described(task: Task, backbone: Entities) -> NDArray[np.float32]:
    """Return what boosting sees of each query event (n, columns)."""
    support, x = task.support, task.query.x
    user, number = bias(support, backbone), number_of(x)
    left = support.y[:, 0] - backbone.offset - backbone.average[number_of(support.x)] - user
    shared = x[:, 1:] @ (support.x[:, 1:] * support.weights().unsqueeze(-1)).t()  # features in common
    liking = shared @ left / (shared.abs().sum(1) + 1)
    columns = [
        backbone.average[number],
        (1 + backbone.met[number]).log(),
        user.expand(len(x)),
        support.weights().sum().expand(len(x)),
        liking,
    ]
    return torch.cat([torch.stack(columns, 1), x[:, 1:]], 1).cpu().numpy()


PRODUCT_BASELINES = [
    ("un-adapted", "Un-adapted", un_adapted),
    ("from-scratch", "From scratch on the support set (ridge on the features)", from_scratch(SCRATCH)),
    ("popularity", "Popularity (number of ratings)", popularity),
    ("item-mean", "Mean of the product", item_mean),
    ("user-mean", "Mean of the user", user_mean),
    ("biases", "Biases of product and user", biased),
    ("folded-in", "Matrix factorisation, folded in (frozen features + ridge)", folded_in(RIDGE)),
]
PRODUCT_FITTED = (
    ("neighbours", "Nearest products (item-kNN)", neighbours),
    ("boosting", "Gradient boosting", boosted),
)
