"""How sure an adapted model may be: learnt from its own support set, by leaving parts of it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

from metalab.metalearners import MetaLearner
from metalab.metalearners.base import class_means
from metalab.tasks import Examples, seeded
from metalab.threads import one_thread

FOLDS = 10
"""Parts of the support set left out in turn; with fewer examples a class, one example of each at most."""
CLASSES_LEFT_OUT = 10
"""Classes left out in turn to learn what something unknown looks like, at most."""
PRIOR = 1.0
"""Strength of the belief that logits are right as they are, in standard deviations of log temperature."""


@dataclass(frozen=True)
class Confidence:
    """Logits over ``temperature`` give calibrated probabilities (Guo et al. 2017); an image less familiar
    than ``threshold`` is none of the classes (None: not enough examples to say).

    Measured on the support set by cross-validation, None where it is too small: ``accuracy``, ``ece``
    (expected calibration error), ``auroc`` of known against left-out classes; all 0..1.
    """

    temperature: float = 1.0
    threshold: float | None = None
    accuracy: float | None = None
    ece: float | None = None
    auroc: float | None = None


@one_thread()
@torch.no_grad()
def calibrate(metalearner: MetaLearner, support: Examples, way: int) -> Confidence:
    """Cross-validate ``support`` (of one task with ``way`` classes) and return what it tells.

    Transductive methods judge a set as a whole, so nothing can be said of one image: the default is returned.
    """
    if metalearner.transductive:
        return Confidence()
    logits, labels, known = [], [], []
    for kept, held in folds_of(support, way):
        state = metalearner.adapt(kept, way)
        features = metalearner.features(state, held.x)
        logits.append(metalearner.classify(state, features))
        labels.append(held.y)
        known.append(familiarity(metalearner.features(state, kept.x), features, kept, way))
    if not logits:
        return Confidence()
    outputs, truth = torch.cat(logits).double(), torch.cat(labels)
    temperature = _temperature(outputs, truth)
    probabilities = F.softmax(outputs / temperature, dim=1).cpu().numpy()
    right = float((outputs.argmax(1) == truth).double().mean())
    ece = calibration_error(probabilities, truth.cpu().numpy())
    threshold, auroc = _threshold(metalearner, support, way, torch.cat(known))
    return Confidence(temperature, threshold, right, ece, auroc)


def familiarity(held: Tensor, features: Tensor, support: Examples, way: int) -> Tensor:
    """Return how like the support set each of ``features`` is (n,): the cosine to the nearest class mean.

    Of features less the mean of ``held``, those of ``support``, so that what every image shares does not
    count.
    """
    centre = held.mean(0)
    means = F.normalize(class_means(F.normalize(held - centre, dim=1), support, way), dim=1)
    return (F.normalize(features - centre, dim=1) @ means.t()).max(1).values


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10) -> float:
    """Return the expected calibration error (0..1) of ``probabilities`` (n, way) for ``labels`` (n,).

    Ten bins of equal width over the confidence (Guo et al. 2017, equation 3).
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(right[bin_of == b].mean() - confidence[bin_of == b].mean()) * (bin_of == b).mean()
        for b in np.unique(bin_of)
    ]
    return float(sum(gaps))


def folds_of(support: Examples, way: int, most: int = FOLDS) -> Iterator[tuple[Examples, Examples]]:
    """Leave examples out in turn, each at most once and never a class's last one."""
    counts = torch.bincount(support.y, minlength=way)
    folds = min(most, max(2, int(counts.max())))
    order = torch.argsort(torch.rand(len(support.y), generator=seeded("cpu", 0, "folds")))
    fold = torch.full((len(support.y),), -1)
    for label in range(way):
        members = order[(support.y.cpu()[order] == label)]
        if len(members) > 1:
            fold[members] = torch.arange(len(members)) % folds
    for number in range(folds):
        out = (fold == number).to(support.y.device)
        if bool(out.any()):
            yield Examples(support.x[~out], support.y[~out]), Examples(support.x[out], support.y[out])


def without_class(support: Examples, label: int) -> Examples:
    """Return ``support`` less the examples of class ``label``; the classes after it move up by one."""
    kept = support.y != label
    y = support.y[kept]
    return Examples(support.x[kept], y - (y > label).to(y.dtype))


def _temperature(logits: Tensor, labels: Tensor) -> float:
    def loss(log_temperature: float) -> float:
        nll = F.cross_entropy(logits / np.exp(log_temperature), labels, reduction="sum").item()
        return nll + 0.5 * (log_temperature / PRIOR) ** 2

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def _threshold(
    metalearner: MetaLearner, support: Examples, way: int, known: Tensor
) -> tuple[float | None, float | None]:
    """Return the threshold that tells ``known`` from left-out classes best (Youden), and the AUROC."""
    from sklearn.metrics import roc_auc_score, roc_curve

    unknown = []
    for label in range(min(way, CLASSES_LEFT_OUT) if way > 2 else 0):
        kept = without_class(support, label)
        state = metalearner.adapt(kept, way - 1)
        own, strange = (metalearner.features(state, x) for x in (kept.x, support.x[support.y == label]))
        unknown.append(familiarity(own, strange, kept, way - 1))
    if not unknown:  # of two classes none can be spared: the least familiar known examples set the limit
        return float(known.quantile(0.05)), None
    truth = np.r_[np.ones(len(known)), np.zeros(sum(map(len, unknown)))]
    scores = torch.cat([known, *unknown]).double().cpu().numpy()
    false, true, thresholds = roc_curve(truth, scores)
    best = int((true - false)[1:].argmax()) + 1
    following = thresholds[best + 1] if best + 1 < len(thresholds) else thresholds[best]
    return float((thresholds[best] + following) / 2), float(roc_auc_score(truth, scores))
