"""Exact Bayesian head: hierarchical Gaussian regression on meta-learnt features (as ALPaCA, Harrison et al.
2018, equations 8 and 9; for clicks Laplace's approximation, MacKay 1992, section 3).

The prior over heads (mean, covariance), the noise and the features are meta-trained, so the closed form is
optimal for a Gaussian population of tasks, and confidence comes free.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from metalab.metalearners.base import State
from metalab.metalearners.recommending import ADVERTS, PRODUCTS, Recommending, rooted
from metalab.tasks import Examples


class Posterior(Recommending):
    """Learns what heads of tasks are like; a task's events turn that prior into a posterior.

    The state holds ``head`` (d,), its posterior mean, and ``root`` (d, d): covariance = root rootᵀ.
    """

    class Options(Recommending.Options):
        """What is meta-trained."""

        train_features: bool = Field(
            False,
            title="Train the features",
            description="Meta-train the encoder too; else only what heads are like and the noise.",
        )

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.backbone.requires_grad_(options.train_features)
        root = backbone.prior_root
        self.mean = nn.Parameter(backbone.prior_mean.clone())
        self.log_diagonal = nn.Parameter(root.diagonal().clamp(min=1e-4).log())
        self.below = nn.Parameter(torch.tril(root, -1))
        self.log_noise = nn.Parameter(backbone.noise.clamp(min=1e-4).log())

    def prior(self) -> State:
        """Return the state without any event: the meta-learnt prior."""
        return {"head": self.mean, "root": rooted(self.log_diagonal, self.below)}

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the prior, then the posterior."""
        return {"prior": self.prior(), "adapted": self.adapt(support, way)}

    def deviation(self, state: State, x: Tensor) -> Tensor:
        """Return the deviation (n,) of the expected rating, or of a click's logit."""
        return (self.backbone.with_one(self.features(state, x)) @ state["root"]).norm(dim=-1)


class RatingPosterior(Posterior):
    """For ratings: the exact posterior, in the space of the few events (n × n systems)."""

    application, name, label, order = PRODUCTS, "bayes-taste", "Bayesian head (exact posterior)", 41
    summary = "What tastes are like is meta-learnt; ratings turn it into this user's taste, exactly."

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``head`` and ``root`` of the posterior."""
        rows = self.one_by_one(support)
        left = support.y[:, 0] - self.backbone.offset - self.backbone.known_mean(support.x)
        error = left * support.weights() - rows @ self.mean
        change, root = exact(rows, error, rooted(self.log_diagonal, self.below), self.log_noise.exp())
        return {"head": self.mean + change, "root": root}


class ClickPosterior(Posterior):
    """For clicks: Newton's steps to the mode, its curvature as the covariance; ``outputs`` are moderated."""

    class Options(Posterior.Options):
        """Newton steps."""

        newton_steps: int = Field(
            6, ge=1, le=50, title="Newton steps", description="Towards the posterior's mode."
        )

    application, name, label, order = ADVERTS, "bayes-clicks", "Bayesian head (Laplace posterior)", 41
    summary = (
        "What campaigns are like is meta-learnt; impressions turn it into this campaign, with confidence."
    )

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``head`` and ``root`` of the approximate posterior.

        In coordinates z, head = mean + prior z, the prior is standard normal and systems are well scaled.
        """
        prior = rooted(self.log_diagonal, self.below)
        rows = self.one_by_one(support)
        seen, base = rows @ prior, self.backbone.offset + rows @ self.mean
        weights, y = support.weights(), support.y[:, 0]
        unit = torch.eye(prior.shape[0], dtype=rows.dtype, device=rows.device)
        z = torch.zeros_like(self.mean)
        for _ in range(self.options.newton_steps):
            chance = (base + seen @ z).sigmoid()
            slope = seen.t() @ ((y - chance) * weights) - z
            z = z + torch.linalg.solve(self._precision(seen, chance, weights, unit), slope)
        chance = (base + seen @ z).sigmoid()
        left = torch.linalg.inv(self._precision(seen, chance, weights, unit))
        return {"head": self.mean + prior @ z, "root": prior @ torch.linalg.cholesky(left)}

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return logits (n, 1), moderated by how unsure they are (MacKay 1992, equation 10)."""
        logits = self.classify(state, self.features(state, x))
        variance = self.deviation(state, x).square().unsqueeze(-1)
        return logits / (1 + math.pi / 8 * variance).sqrt()

    @staticmethod
    def _precision(seen: Tensor, chance: Tensor, weights: Tensor, unit: Tensor) -> Tensor:
        return unit + seen.t() @ (seen * (chance * (1 - chance) * weights).unsqueeze(-1))


def exact(rows: Tensor, error: Tensor, prior: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return the change of the head's mean (d,), and a root (d, d) of its covariance, after ``rows`` (n, d).

    ``error`` (n,) is what the prior's mean leaves, ``prior`` a root of its covariance, ``noise`` a variance.
    Rows of zeros say nothing.
    """
    seen = rows @ prior  # (n, d)
    among = seen @ seen.t() + noise * torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    gain = torch.linalg.solve(among, torch.cat([error.unsqueeze(-1), seen], 1))
    left = torch.eye(prior.shape[0], dtype=rows.dtype, device=rows.device) - seen.t() @ gain[:, 1:]
    return prior @ (seen.t() @ gain[:, 0]), prior @ torch.linalg.cholesky(left)
