"""Meta-Embedding for cold-start advertisements (Pan et al. 2019, algorithm 1).

A generator reads the new advertisement's features and emits its first head; one gradient step on the first
impressions warms it up. The meta-loss weighs both: before the step (cold) and after it (warm).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from metalab.metalearners.base import State, scalar
from metalab.metalearners.recommending import ADVERTS, Recommending
from metalab.tasks import Examples


class MetaEmb(Recommending):
    """The task's features stand in every event; their generator sees the mean event of the support set."""

    class Options(Recommending.Options):
        """Weight of the cold loss."""

        cold: float = Field(
            0.1, ge=0, le=1, title="Weight of the cold loss", description="The rest is that of the warm one."
        )
        inner_lr: float = Field(
            0.1, gt=0, le=100, title="Inner rate", description="First size of the step; it is learnt."
        )

    application, name, label, order = ADVERTS, "metaemb", "Meta-Embedding", 32
    summary = "A network makes the new advertisement's first embedding; one gradient step warms it up."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.mean = nn.Parameter(backbone.prior_mean.clone())
        hidden = 2 * backbone.width
        self.generator = nn.Sequential(
            nn.Linear(max(1, backbone.size - 1), hidden), nn.ReLU(), nn.Linear(hidden, backbone.width + 1)
        )
        nn.init.zeros_(self.generator[-1].weight)
        nn.init.zeros_(self.generator[-1].bias)
        self.log_rate = scalar(torch.tensor(options.inner_lr).log().item())

    def adapt(self, support: Examples, way: int) -> State:
        """Return the warmed-up ``head``."""
        return self.path(support, way)["adapted"]

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the generated head, then the warmed-up one."""
        cold = {"head": self._generated(support)}
        features = self.backbone(support.x)
        slope = torch.func.grad(lambda state: self.loss(self.classify(state, features), support))(cold)
        return {"generated": cold, "adapted": {"head": cold["head"] - self.log_rate.exp() * slope["head"]}}

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the weighted loss of the cold and the warm head, and the outputs of the warm one."""
        states = self.path(support, way)
        features = self.backbone(query.x)
        cold, warm = (self.classify(states[name], features) for name in ("generated", "adapted"))
        share = self.options.cold
        return share * self.loss(cold, query) + (1 - share) * self.loss(warm, query), warm

    def prior(self) -> State:
        """Return the state of an advertisement of which nothing is known."""
        return {"head": self.mean}

    def _generated(self, support: Examples) -> Tensor:
        weights = support.weights().unsqueeze(-1)
        described = support.x[:, 1:] if self.backbone.size > 1 else support.x.new_zeros(len(support.x), 1)
        return self.mean + self.generator((described * weights).sum(0) / weights.sum().clamp(min=1))
