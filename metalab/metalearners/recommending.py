"""What meta-learners of recommendation share: a head over the features of events, its loss and its score."""

from __future__ import annotations

import torch
from torch import Tensor

from metalab.config import RECOMMENDERS
from metalab.metalearners.base import MetaLearner, State
from metalab.outcomes import outcome_loss
from metalab.tasks import Examples

PRODUCTS, ADVERTS = RECOMMENDERS


class Recommending(MetaLearner):
    """Outputs (n, 1) are ratings, or logits of clicks. The state holds ``head`` (width + 1,), the task's
    taste: outcomes are its product with the features."""

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return outcomes (n, 1) from features (n, width), less what is known of the entities' means."""
        outputs = self.backbone.offset + self.backbone.with_one(features) @ state["head"]
        return outputs.unsqueeze(-1)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return outcomes (n, 1) of events ``x`` (n, 1 + features)."""
        return self.classify(state, self.features(state, x)) + self.backbone.known_mean(x).unsqueeze(-1)

    def loss(self, outputs: Tensor, examples: Examples) -> Tensor:
        """Return the mean loss: squared error of ratings, cross-entropy of clicks."""
        losses = outcome_loss(outputs, examples.y, self.backbone.clicks).mean(-1)
        weights = examples.weights()
        return (losses * weights).sum(-1) / weights.sum(-1).clamp(min=1)

    def score(self, outputs: Tensor, examples: Examples) -> Tensor:
        """Return exp(-loss), in 0..1: of clicks the geometric mean probability of what happened."""
        return (-self.loss(outputs, examples)).exp()

    def prior(self) -> State:
        """Return the state without any event."""
        return {"head": self.backbone.prior_mean}

    def deviation(self, state: State, x: Tensor) -> Tensor | None:
        """Return how unsure the outputs for ``x`` (n, 1 + features) are (n,), one standard deviation; None
        where the method cannot tell."""
        return None

    def one_by_one(self, support: Examples) -> Tensor:
        """Return the features (n, width + 1) of support events, zero for padding."""
        features = self.backbone.with_one(self.features({}, support.x))
        return features * support.weights().unsqueeze(-1)


def rooted(log_diagonal: Tensor, below: Tensor) -> Tensor:
    """Return the lower triangle (d, d) with exp(``log_diagonal``) (d,) and what is ``below`` (d, d)."""
    return torch.tril(below, -1) + torch.diag(log_diagonal.exp())
