"""MetaOptNet: a support vector machine as a differentiable head (Lee et al. 2019, equations 6-8)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from metalab.metalearners.base import MetaLearner, State, scalar, targets
from metalab.tasks import Examples

DIFFERENTIATED = 10
"""Last solver steps that are differentiated, from a point that is already the solution: their unrolled
gradient converges to the implicit one of the optimality conditions, as a Neumann series does."""


class MetaOptNet(MetaLearner):
    """Crammer and Singer's multi-class SVM on the features, solved in its dual at every adaptation."""

    class Options(MetaLearner.Options):
        """Softness of the margin and precision of the solver."""

        softness: float = Field(
            0.1, gt=0, le=1e4, title="C", description="Price of an example within the margin."
        )
        solver_steps: int = Field(
            200, ge=10, le=10_000, title="Solver steps", description="Accelerated steps on the dual problem."
        )

    name, label, order = "metaoptnet", "MetaOptNet (SVM head)", 42
    summary = "Fits a support vector machine: only the borderline examples decide. Good with more shots."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.log_scale = scalar(1.0)
        self.log_features = scalar(1.0)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``weight`` (d, way)."""
        x = self._scaled(self.backbone(support.x)) * support.weights().unsqueeze(-1)
        dual = crammer_singer(
            x @ x.t(),
            targets(support, way),
            self.options.softness * support.weights(),
            self.options.solver_steps,
        )
        return {"weight": x.t() @ dual}

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return the backbone's features (n, d)."""
        return self.backbone(x)

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return the scaled outputs of the SVM (n, way)."""
        return self.log_scale.exp() * (self._scaled(features) @ state["weight"])

    def _scaled(self, features: Tensor) -> Tensor:
        return self.log_features.exp() * features / math.sqrt(features.shape[1])


def crammer_singer(gram: Tensor, labels: Tensor, softness: Tensor, steps: int) -> Tensor:
    """Return dual variables α (n, way) of the multi-class SVM with weights X'α.

    Minimises ½ tr(α'Kα) - Σ α ∘ labels with α ≤ softness · labels and rows that sum to zero, for the Gram
    matrix K (n, n), one-hot labels (n, way) and softness (n,) (0: the example is padding), by projected
    gradient descent with Nesterov's acceleration. Differentiable in ``gram``.
    """
    bound = softness[:, None] * labels
    dual = ahead = torch.zeros_like(labels)
    for step in range(steps):
        if step == steps - DIFFERENTIATED:
            dual, ahead = dual.detach(), dual.detach()
        differentiated = step >= steps - DIFFERENTIATED
        kernel = gram if differentiated else gram.detach()
        rate = 1 / kernel.detach().abs().sum(1).max()
        new = _project(ahead - rate * (kernel @ ahead - labels), bound, softness)
        momentum = 0.0 if differentiated else step / (step + 3)
        ahead, dual = new + momentum * (new - dual), new
    return dual


def _project(dual: Tensor, bound: Tensor, softness: Tensor) -> Tensor:
    """Return the nearest point (n, way) with rows that sum to zero and lie below ``bound``.

    bound - α is on a simplex of size ``softness``, whose projection sorts (Held, Wolfe, Crowder 1974).
    """
    point = bound - dual
    ordered = point.sort(dim=1, descending=True).values
    excess = ordered.cumsum(1) - softness[:, None]
    place = torch.arange(1, point.shape[1] + 1, dtype=point.dtype, device=point.device)
    inside = (ordered * place > excess).to(point.dtype)
    count = inside.sum(1, keepdim=True).clamp(min=1)
    shift = ((ordered * inside).sum(1, keepdim=True) - softness[:, None]) / count
    return bound - F.relu(point - shift)
