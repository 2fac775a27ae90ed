"""TIM: transductive information maximisation (Boudiaf et al. 2020, equations 1-4). Transductive."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from metalab.metalearners.base import State, class_means, targets, task_loss
from metalab.metalearners.simpleshot import SimpleShot
from metalab.tasks import Examples


class TIM(SimpleShot):
    """Moves the class weights by gradient descent until predictions are certain one by one, and varied as a
    whole: support cross-entropy - mutual information between queries and their predicted classes.

    Starts from the class means. A prediction depends on the other queries; classes are taken to be equally
    frequent among them.
    """

    class Options(SimpleShot.Options):
        """Inner loop and weights of the loss, as in the paper."""

        inner_steps: int = Field(20, ge=1, le=1000, title="Steps", description="Gradient steps.")
        inner_lr: float = Field(0.02, gt=0, le=100, title="Rate", description="Size of a gradient step.")
        support_weight: float = Field(
            0.1, ge=0, le=100, title="Support weight", description="λ of the support cross-entropy."
        )
        conditional_weight: float = Field(
            0.1, ge=0, le=100, title="Certainty", description="α of the conditional entropy."
        )

    name, label, order = "tim", "TIM (information maximisation)", 52
    summary = "Adjusts to all images at once, so that each is certain and all classes are used."
    uses_other_queries = True

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``prototypes`` (way, d), and the support's ``features``, ``labels``, ``weights``."""
        features, labels = self._unit(self.backbone(support.x)), targets(support, way)
        prototypes, weights = class_means(features, support, way), support.weights()
        return {"prototypes": prototypes, "features": features, "labels": labels, "weights": weights}

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return logits (n, way) under the weights that were adapted to all of ``features``."""
        options, prototypes = self.options, state["prototypes"]
        support = Examples(state["features"], state["labels"].argmax(1), state["weights"] > 0)

        def loss(prototypes: Tensor) -> Tensor:
            log_chances = F.log_softmax(self._logits(prototypes, features), dim=1)
            chances = log_chances.exp()
            marginal = chances.mean(0)
            varied = -(marginal * marginal.clamp(min=1e-12).log()).sum()
            uncertain = -(chances * log_chances).sum(1).mean()
            fit = task_loss(self._logits(prototypes, support.x), support)
            return options.support_weight * fit - varied + options.conditional_weight * uncertain

        for _ in range(options.inner_steps):
            prototypes = prototypes - options.inner_lr * torch.func.grad(loss)(prototypes)
        return self._logits(prototypes, features)

    def _logits(self, prototypes: Tensor, features: Tensor) -> Tensor:
        return super().classify({"prototypes": prototypes}, features)
