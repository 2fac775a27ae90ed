"""LEO: a conditional generator of the head's weights (Rusu et al. 2019, sections 2.2-2.4, algorithm 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from metalab.metalearners.base import MetaLearner, State, centroid_head, class_means, scalar, task_loss
from metalab.tasks import Examples


class LEO(MetaLearner):
    """Encodes the support set into a small code per class, decodes codes into the head's weights, and runs
    the inner loop on the codes instead of the weights.

    The deterministic form: codes and weights are the means of the paper's Gaussians, without sampling and
    its Kullback-Leibler term. The decoder writes a change of the class's mean feature, so meta-training
    starts from the nearest centroid.
    """

    class Options(MetaLearner.Options):
        """Inner loop, and sizes of the generator."""

        inner_steps: int = Field(3, ge=0, le=100, title="Inner steps", description="Steps on the codes.")
        inner_lr: float = Field(
            1.0, gt=0, le=100, title="Inner rate", description="Start of the learnt step size on the codes."
        )
        code: int = Field(64, ge=2, le=1024, title="Code", description="Numbers in a class's code.")
        hidden: int = Field(128, ge=8, le=2048, title="Hidden units", description="Width of the networks.")

    name, label, order = "leo", "LEO (weight generator)", 32
    summary = "A network writes the last layer from the examples and fine-tunes a small code of it."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        d, hidden = backbone.feature_dim, options.hidden
        self.encoder = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, hidden), nn.ReLU())
        self.relation = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, options.code)
        )
        self.decoder = nn.Sequential(nn.Linear(options.code, hidden), nn.ReLU(), nn.Linear(hidden, d))
        nn.init.zeros_(self.decoder[-1].weight)
        nn.init.zeros_(self.decoder[-1].bias)
        self.inner_lr = scalar(options.inner_lr)
        self.log_temperature = scalar(0.0)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``head.weight`` (way, d) and ``head.bias`` (way,) after the last step."""
        return list(self.path(support, way).values())[-1]

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the generated head before the first and after each inner step on the codes."""
        features = self.backbone(support.x)
        means = class_means(features, support, way)
        codes = self._encode(features, support, way)

        def loss(codes: Tensor) -> Tensor:
            return task_loss(self.classify(self._decode(codes, means), features), support)

        states = [self._decode(codes, means)]
        for _ in range(self.options.inner_steps):
            codes = codes - self.inner_lr * torch.func.grad(loss)(codes)
            states.append(self._decode(codes, means))
        return {f"step {i}": state for i, state in enumerate(states)}

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return the generated linear head's logits (n, way), up to a term common to all classes."""
        scale = self.log_temperature.exp() / features.shape[-1]
        return F.linear(features, state["head.weight"], state["head.bias"]) * scale

    def _encode(self, features: Tensor, support: Examples, way: int) -> Tensor:
        """Return a code (way, code) per class: the mean relation of its examples to all (equation 1)."""
        encoded, weights = self.encoder(features), support.weights()
        context = (encoded * weights.unsqueeze(-1)).sum(0) / weights.sum()
        # The mean over all partners of a first linear layer is that layer at the mean partner, so pairs
        # need not be formed.
        pairs = torch.cat([encoded, context.expand_as(encoded)], dim=1)
        return class_means(self.relation(pairs), support, way)

    def _decode(self, codes: Tensor, means: Tensor) -> State:
        return centroid_head(means + self.decoder(codes))
