"""What meta-learning must beat on spoken words: beside the common baselines, templates without a network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metalab.backbones import Backbone
from metalab.baselines import BASELINES, Method
from metalab.metalearners.base import class_means, squared_distances
from metalab.tasks import Task

CEPSTRA = 13
"""Coefficients of the spectrum's shape that templates are compared by."""


def _raw_centroid(backbone: Backbone) -> Method:
    """The mean picture of each word, no network."""

    def method(task: Task, number: int) -> Tensor:
        means = class_means(task.support.x.flatten(1), task.support, task.way)
        return -squared_distances(task.query.x.flatten(1), means)

    return method


def _templates(backbone: Backbone) -> Method:
    """Dynamic time warping (Sakoe and Chiba 1978) to each example, on cepstra: the nearest one decides."""

    def method(task: Task, number: int) -> Tensor:
        ours, theirs = (cepstra(x.cpu().numpy()) for x in (task.query.x, task.support.x))
        distances = np.stack([warped(ours, one[None].repeat(len(ours), 0)) for one in theirs], 1)
        labels = task.support.y.cpu().numpy()
        best = np.stack([distances[:, labels == label].min(1) for label in range(task.way)], 1)
        return torch.from_numpy(-best).to(task.query.x)

    return method


def cepstra(pictures: np.ndarray) -> np.ndarray:
    """Return the cosine transform (n, frames, CEPSTRA) of pictures (n, 1, bands, frames), less its mean."""
    from scipy.fft import dct

    held = dct(pictures[:, 0], axis=1, norm="ortho")[:, 1 : CEPSTRA + 1].transpose(0, 2, 1)
    return held - held.mean(1, keepdims=True)


def warped(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the cost (n,) of the cheapest path that aligns each of ``one`` (n, t, d) with ``other``."""
    costs = np.sqrt(((one[:, :, None] - other[:, None]) ** 2).sum(-1))
    n, t, u = costs.shape
    total = np.full((n, t + 1, u + 1), np.inf)
    total[:, 0, 0] = 0
    for diagonal in range(2, t + u + 1):
        i = np.arange(max(1, diagonal - u), min(t, diagonal - 1) + 1)
        j = diagonal - i
        before = np.minimum(total[:, i - 1, j - 1], np.minimum(total[:, i - 1, j], total[:, i, j - 1]))
        total[:, i, j] = before + costs[:, i - 1, j - 1]
    return total[:, t, u] / (t + u)


COMMON = ("un-adapted", "nearest-centroid", "logistic-regression", "from-scratch")
SPEECH_BASELINES = [
    *(one for one in BASELINES if one[0] in COMMON),
    ("raw-centroid", "Nearest mean spectrum, no network", _raw_centroid),
    ("templates", "Dynamic time warping to the examples", _templates),
]
