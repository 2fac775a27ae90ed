"""MetaOptNet: a support vector machine as a differentiable head (Lee et al. 2019, equations 6-8)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from metalab.metalearners.base import MetaLearner, State, scalar, targets
from metalab.metalearners.cg import conjugate_gradient
from metalab.tasks import Examples

CG_STEPS = 50
"""Conjugate-gradient steps of the solution's derivative."""


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
        self.log_scale = scalar(2.0)
        self.log_features = scalar(1.0)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``weight`` (d, way)."""
        x = self._scaled(self.backbone(support.x)) * support.weights().unsqueeze(-1)
        # As in the authors' code, one on the diagonal: it keeps the problem well-conditioned.
        gram = x @ x.t() + torch.eye(len(x), dtype=x.dtype, device=x.device)
        softness = self.options.softness * support.weights()
        dual = crammer_singer(gram, targets(support, way), softness, self.options.solver_steps)
        return {"weight": x.t() @ dual}

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return the scaled outputs of the SVM (n, way)."""
        return self.log_scale.exp() * (self._scaled(features) @ state["weight"])

    def _scaled(self, features: Tensor) -> Tensor:
        return self.log_features.exp() * features / math.sqrt(features.shape[1])


def crammer_singer(gram: Tensor, labels: Tensor, softness: Tensor, steps: int) -> Tensor:
    """Return dual variables α (n, way) of the multi-class SVM with weights X'α.

    Minimises ½ tr(α'Kα) - Σ α ∘ labels with α ≤ softness · labels and rows that sum to zero, for the Gram
    matrix K (n, n), one-hot labels (n, way) and softness (n,) (0: the example is padding), by projected
    gradient descent with Nesterov's acceleration. Differentiable in ``gram``, implicitly.
    """
    bound, kernel = softness[:, None] * labels, gram.detach()
    rate = 1 / kernel.abs().sum(1).max()
    dual = ahead = torch.zeros_like(labels)
    for step in range(steps):
        new = _project(ahead - rate * (kernel @ ahead - labels), bound, softness)
        ahead, dual = new + step / (step + 3) * (new - dual), new
    # At the solution the slope is zero along all directions that the constraints leave free, whatever K: that
    # determines how the solution follows K (implicit function theorem).
    free = (bound - dual > 1e-4 * softness[:, None]).to(dual.dtype)
    return dual - _Follow.apply(_tangent(gram @ dual - labels, free), kernel, free)


class _Follow(torch.autograd.Function):
    """Zero, with the derivative of the solution by its slope: the inverse of K on the free directions."""

    generate_vmap_rule = True

    @staticmethod
    def forward(slope: Tensor, kernel: Tensor, free: Tensor) -> Tensor:
        return torch.zeros_like(slope)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        kernel, free = ctx.saved_tensors

        def product(state: State) -> State:
            return {"dual": _tangent(kernel @ _tangent(state["dual"], free), free)}

        right = {"dual": _tangent(gradient, free)}
        return conjugate_gradient(product, right, CG_STEPS)["dual"], None, None


def _tangent(dual: Tensor, free: Tensor) -> Tensor:
    """Return ``dual`` (n, way) projected to rows that sum to zero and vanish where ``free`` is 0."""
    held = dual * free
    return held - free * held.sum(1, keepdim=True) / free.sum(1, keepdim=True).clamp(min=1)


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
