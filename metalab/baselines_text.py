"""What meta-learning must beat on questions: what a user can have without it, on the same tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.backbones import Backbone
from metalab.baselines import Method
from metalab.baselines_dense import nearest_mean_place, places_trained, random_places
from metalab.data.questions import LABELS
from metalab.data.words import MATCHED, TOLD
from metalab.metalearners.tokens import ANSWERS, token_examples
from metalab.spans import NEVER, as_outputs
from metalab.tasks import Task

if TYPE_CHECKING:  # these take a second to import, and the pages need none of it
    from scipy.sparse import csr_matrix

AROUND = 3
"""Tokens to the left and right that a word pattern sees."""
PATTERN_COLUMNS = 2**16
SCRATCH_STEPS, SCRATCH_RATE = 60, 1e-3
TUNED_STEPS, TUNED_RATE = 15, 1e-3
"""Of fine-tuning what is pre-trained; chosen on meta-validation, as those above."""


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


def _surroundings(x: Tensor) -> csr_matrix:
    """Return which words, shapes, places and roles (n, length, 6) stand at which distance of each token."""
    from scipy.sparse import csr_matrix

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
    held = csr_matrix((ones, indices.ravel(), starts), (n * length, PATTERN_COLUMNS))
    held.sum_duplicates()
    return held


def _classified(rows, asked, task: Task, C: float) -> Tensor:
    """Return the log probabilities of logistic regression as outputs; labels never seen are impossible."""
    from sklearn.linear_model import LogisticRegression

    support = token_examples(task.support)
    known = (support.mask > 0).cpu().numpy()
    model = LogisticRegression(C=C, max_iter=200).fit(rows[known], support.y.cpu().numpy()[known])
    chances = torch.from_numpy(model.predict_proba(asked)).to(task.query.x)
    outputs = chances.new_full((len(chances), LABELS), NEVER)
    outputs[:, torch.as_tensor(model.classes_)] = chances.clamp(min=1e-6).log()
    return as_outputs(outputs, task.query.x)


ANSWER_BASELINES = [
    ("un-adapted", "Un-adapted", random_places(ANSWERS)),
    ("rest-of-line", "What follows the word asked about", _rest_of_line),
    ("patterns", "Word patterns + logistic regression", _patterns),
    ("nearest-centroid", "Frozen features + nearest mean token", nearest_mean_place(ANSWERS)),
    ("logistic-regression", "Frozen features + logistic regression", _token_logistic),
    (
        "from-scratch",
        "From scratch on the support set",
        places_trained(ANSWERS, SCRATCH_STEPS, SCRATCH_RATE),
    ),
    (
        "fine-tuned",
        "Pre-trained reader, fine-tuned on the support set",
        places_trained(ANSWERS, TUNED_STEPS, TUNED_RATE, scratch=False),
    ),
]
