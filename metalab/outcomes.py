"""Losses and scores of ratings and of clicks; ranking and areas by scikit-learn."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from metalab.tasks import Examples

BEST = 5
"""Places of the list that NDCG looks at."""
BINS = 10
"""Of the calibration error."""
UNDECIDED = 0.5
"""The area under the curve where all impressions were clicked, or none: nothing can be told apart."""


def outcome_loss(outputs: Tensor, outcomes: Tensor, clicks: bool) -> Tensor:
    """Return the loss of each event: squared error of a rating, or cross-entropy of a click's logit."""
    if clicks:
        return F.binary_cross_entropy_with_logits(outputs, outcomes, reduction="none")
    return (outputs - outcomes).square()


def judge_ratings(outputs: Tensor, examples: Examples) -> Tensor:
    """Return NDCG at :data:`BEST` of one task: outputs (n, 1), gains 2^rating - 1 (Burges et al. 2005)."""
    given, truth = counted(outputs, examples)
    return torch.tensor(ndcg(given, truth))


def judge_clicks(outputs: Tensor, examples: Examples) -> Tensor:
    """Return the area under the ROC curve of one task: :data:`UNDECIDED` where all outcomes are the same."""
    given, truth = counted(outputs, examples)
    return torch.tensor(area(given, truth))


def counted(outputs: Tensor, examples: Examples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return outputs and outcomes (n,) of one task without padding."""
    kept = examples.weights().bool()
    return (part[kept][:, 0].double().cpu().numpy() for part in (outputs, examples.y))


def ndcg(given: NDArray[np.float64], truth: NDArray[np.float64], best: int = BEST) -> float:
    """Return NDCG of the list that ``given`` orders; equal ones in every order alike."""
    from sklearn.metrics import ndcg_score

    if len(truth) < 2:
        return 1.0
    return float(ndcg_score([2**truth - 1], [given], k=best))


def area(given: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve."""
    from sklearn.metrics import roc_auc_score

    if truth.min() == truth.max():
        return UNDECIDED
    return float(roc_auc_score(truth > 0.5, given))


def calibration_error(chances: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Return the expected calibration error over :data:`BINS` bins with equally many events."""
    parts = np.array_split(np.argsort(chances, kind="stable"), BINS)
    gaps = [len(part) * abs(chances[part].mean() - truth[part].mean()) for part in parts if len(part)]
    return float(sum(gaps) / len(chances))
