"""R2-D2: ridge regression as a differentiable, closed-form head (Bertinetto et al. 2019, section 3.2)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from metalab.metalearners.base import MetaLearner, State, scalar, targets
from metalab.tasks import Examples


class R2D2(MetaLearner):
    """Solves for the linear head that fits the support set best; training shapes features it serves well.

    W = X'(XX' + λI)⁻¹Y (equation 6, by Woodbury: a system of the size of the support set), logits αXW + β.
    λ, α and β are learnt. A constant is appended to the features, so that the head has a bias. Works for
    regression as well.
    """

    class Options(MetaLearner.Options):
        """Start of the learnt regularisation."""

        ridge: float = Field(
            1.0, gt=0, le=1e6, title="Ridge", description="Regularisation λ that training starts from."
        )

    name, label, order = "r2d2", "R2-D2 (ridge head)", 40
    summary = "Solves for the best linear head at once. As fast as ProtoNet, often better with more shots."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.log_ridge = scalar(math.log(options.ridge))
        self.log_scale = scalar(2.0)
        self.bias = scalar(0.0)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``weight`` (d + 1, way)."""
        weights = support.weights().unsqueeze(-1)
        x = extended(self.backbone(support.x))
        return {"weight": ridge(x * weights, targets(support, way) * weights, self.log_ridge.exp())}

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return the scaled outputs of the ridge head (n, way)."""
        return self.log_scale.exp() * (extended(features) @ state["weight"]) + self.bias


def extended(features: Tensor) -> Tensor:
    """Return ``features`` (n, d) over √d, so that λ is of one scale, and a constant: (n, d + 1)."""
    return F.pad(features / math.sqrt(features.shape[1]), (0, 1), value=1.0)


def ridge(x: Tensor, y: Tensor, strength: Tensor) -> Tensor:
    """Return W (d, way) with the least squared error of x W = y (x (n, d), y (n, way)) + strength · W'W."""
    if len(x) > x.shape[1]:  # the smaller of two equal systems: many pixels, few features
        gram = x.t() @ x + strength * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        return torch.linalg.solve(gram, x.t() @ y)
    gram = x @ x.t() + strength * torch.eye(len(x), dtype=x.dtype, device=x.device)
    return x.t() @ torch.linalg.solve(gram, y)
