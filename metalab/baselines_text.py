"""What meta-learning must beat on questions: what a user can have without it, on the same tasks."""

from __future__ import annotations

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from metalab.backbones import Backbone
from metalab.baselines import Method
from metalab.data.words import MATCHED, TOLD
from metalab.metalearners.base import class_means
from metalab.metalearners.tokens import LABELS, token_examples
from metalab.spans import NEVER, as_outputs, span_loss
from metalab.tasks import Task, seeded

AROUND = 3
"""Tokens to the left and right that a word pattern sees."""
PATTERN_COLUMNS = 2**16
SCRATCH_STEPS, SCRATCH_RATE = 60, 1e-3


def _random_tokens(backbone: Backbone) -> Method:
    """A random classifier of pre-trained token features: chance."""

    def method(task: Task, number: int) -> Tensor:
        features = F.normalize(backbone(task.query.x), dim=1)
        generator = seeded(features.device, number)
        head = torch.randn(LABELS, features.shape[1], device=features.device, generator=generator)
        return as_outputs(features @ head.t(), task.query.x)

    return method


def _rest_of_line(backbone: Backbone) -> Method:
    """What follows the first word that the question names, to the end of the line; else the first line."""

    def method(task: Task, number: int) -> Tensor:
        logits = task.query.x.new_zeros(*task.query.x.shape[:2], LABELS)
        for row, text in enumerate(task.query.x):
            roles, line_start = text[:, -1], text[:, 3] == 0
            named = (roles == MATCHED).nonzero().flatten()
            told = (roles >= TOLD).nonzero().flatten()
            first = int(named[0]) + 1 if len(named) else int(told[0])
            ends = (line_start[first + 1 :] | (roles[first + 1 :] < TOLD)).nonzero().flatten()
            end = first + 1 + int(ends[0]) if len(ends) else len(text)
            logits[row, first % len(text), 1] = 1
            logits[row, :, 2] = -1
            logits[row, first + 1 : end, 2] = 1
        return as_outputs(logits.flatten(0, 1), task.query.x)

    return method


def _token_centroid(backbone: Backbone) -> Method:
    """Frozen features, unit length, and the nearest mean token."""

    def method(task: Task, number: int) -> Tensor:
        support = token_examples(task.support)
        means = class_means(F.normalize(backbone(support.x), dim=1), support, LABELS)
        features = F.normalize(backbone(task.query.x), dim=1)
        return as_outputs(20 * features @ F.normalize(means, dim=1).t(), task.query.x)

    return method


def _token_logistic(backbone: Backbone) -> Method:
    """Frozen features, unit length, and logistic regression over tokens."""

    def method(task: Task, number: int) -> Tensor:
        rows = F.normalize(backbone(task.support.x), dim=1).cpu().numpy()
        asked = F.normalize(backbone(task.query.x), dim=1).cpu().numpy()
        return _classified(rows, asked, task, C=30.0)

    return method


def _patterns(backbone: Backbone) -> Method:
    """No network: logistic regression over the words around each token and their shapes."""

    def method(task: Task, number: int) -> Tensor:
        return _classified(_surroundings(task.support.x), _surroundings(task.query.x), task, C=10.0)

    return method


def _surroundings(x: Tensor) -> scipy.sparse.csr_matrix:
    """Return which words, shapes, places and roles (n, length, 6) stand at which distance of each token."""
    fields = x.cpu().numpy().astype(np.int64)
    n, length = fields.shape[:2]
    columns = []
    for shift in range(-AROUND, AROUND + 1):
        moved = np.zeros_like(fields)
        source = slice(max(0, shift), length + min(0, shift))
        moved[:, max(0, -shift) : length - max(0, shift)] = fields[:, source]
        for field in (0, 3, 4, 5):
            key = (moved[..., field] * 7 + shift + AROUND) * 6 + field
            columns.append(key * 2_654_435_761 % PATTERN_COLUMNS)
    indices = np.stack(columns, -1).reshape(n * length, -1)
    starts = np.arange(0, indices.size + 1, indices.shape[1])
    ones = np.ones(indices.size, dtype=np.float32)
    held = scipy.sparse.csr_matrix((ones, indices.ravel(), starts), (n * length, PATTERN_COLUMNS))
    held.sum_duplicates()
    return held


def _classified(rows, asked, task: Task, C: float) -> Tensor:
    """Return the log probabilities of logistic regression as outputs; labels never seen are impossible."""
    support = token_examples(task.support)
    known = (support.mask > 0).cpu().numpy()
    model = LogisticRegression(C=C, max_iter=200).fit(rows[known], support.y.cpu().numpy()[known])
    chances = torch.from_numpy(model.predict_proba(asked)).to(task.query.x)
    outputs = chances.new_full((len(chances), LABELS), NEVER)
    outputs[:, torch.as_tensor(model.classes_)] = chances.clamp(min=1e-6).log()
    return as_outputs(outputs, task.query.x)


def _from_scratch(backbone: Backbone) -> Method:
    """The same reader, newly initialised, trained with a token head on the support set alone."""

    def method(task: Task, number: int) -> Tensor:
        with torch.enable_grad():
            model = backbone.from_scratch(number).requires_grad_(True)
            generator = seeded(task.support.x.device, number)
            head = torch.randn(
                LABELS, model.feature_dim, device=task.support.x.device, generator=generator
            ).mul_(0.01)
            head.requires_grad_()
            optimiser = torch.optim.Adam([*model.parameters(), head], lr=SCRATCH_RATE)
            for _ in range(SCRATCH_STEPS):
                outputs = as_outputs(model(task.support.x) @ head.t(), task.support.x)
                optimiser.zero_grad()
                span_loss(outputs, task.support.y).backward()
                optimiser.step()
        return as_outputs(model(task.query.x) @ head.t(), task.query.x).detach()

    return method


ANSWER_BASELINES = [
    ("un-adapted", "Un-adapted", _random_tokens),
    ("rest-of-line", "What follows the word asked about", _rest_of_line),
    ("patterns", "Word patterns + logistic regression", _patterns),
    ("nearest-centroid", "Frozen features + nearest mean token", _token_centroid),
    ("logistic-regression", "Frozen features + logistic regression", _token_logistic),
    ("from-scratch", "From scratch on the support set", _from_scratch),
]
