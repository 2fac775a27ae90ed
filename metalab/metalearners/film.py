"""FiLM hypernetwork: a network reads the support set and emits adjustments of the backbone and a head.

Family of CNAPs (Requeima et al. 2019, sections 2.2-2.3): a permutation-invariant set encoder summarises
the support set, small networks turn the summary into FiLM coefficients for every block of the shared
backbone, and another turns each class's adapted mean into a linear classifier.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from metalab.metalearners.base import (
    MetaLearner,
    State,
    centroid_head,
    class_means,
    mean_and_deviation,
    scalar,
)
from metalab.tasks import Examples


class FiLM(MetaLearner):
    """One forward pass adapts: no gradients at task time.

    Every generator ends in a zero-initialised layer, so meta-training starts from the pre-trained features
    with a nearest-centroid head, and learns what to change.
    """

    class Options(MetaLearner.Options):
        """Size of the hypernetwork, and whether the shared backbone is meta-trained with it."""

        model_config = ConfigDict(extra="forbid", frozen=True)
        hidden: int = Field(
            128, ge=8, le=2048, title="Hidden units", description="Width of the hypernetwork."
        )
        train_backbone: bool = Field(
            True,
            title="Train backbone",
            description="Meta-train the shared backbone too; otherwise it stays as pre-trained (CNAPs).",
        )

    name, label, order = "film", "FiLM hypernetwork", 30
    summary = "A neural network reads the examples and retunes every layer of the backbone in one pass."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.backbone.requires_grad_(options.train_backbone)
        d, hidden = backbone.feature_dim, options.hidden
        self.encoder = nn.Sequential(
            nn.LayerNorm(d), nn.Linear(d, hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )
        self.film = nn.ModuleList(
            _generator(2 * hidden, hidden, 2 * channels) for channels in backbone.film_channels
        )
        self.head = _generator(d + 2 * hidden, hidden, d)
        self.log_temperature = scalar(0.0)

    def adapt(self, support: Examples, way: int) -> State:
        """Return pairs ``gamma<i>``, ``beta<i>`` (channels,), ``head.weight`` (way, d) and ``head.bias``."""
        summary = self._summarise(support)
        state = {}
        for block, generator in enumerate(self.film):
            state[f"gamma{block}"], state[f"beta{block}"] = generator(summary).chunk(2)
        return {**state, **self._head(state, support, way, summary)}

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the state without any FiLM adjustment, then the adapted one."""
        adapted = self.adapt(support, way)
        plain = {k: torch.zeros_like(v) for k, v in adapted.items() if not k.startswith("head")}
        return {
            "without FiLM": {**plain, **self._head(plain, support, way, self._summarise(support))},
            "adapted": adapted,
        }

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return features (n, d) of the adjusted backbone."""
        film = [(state[f"gamma{block}"], state[f"beta{block}"]) for block in range(len(self.film))]
        return self.backbone.extract(self.backbone.params(), x, film)

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return the generated linear head's logits (n, way), up to a term common to all classes."""
        scale = self.log_temperature.exp() / features.shape[-1]
        return F.linear(features, state["head.weight"], state["head.bias"]) * scale

    def _summarise(self, support: Examples) -> Tensor:
        """Return mean and deviation (2 * hidden,) of the encoded support examples."""
        return mean_and_deviation(self.encoder(self.backbone(support.x)), support.weights())

    def _head(self, state: State, support: Examples, way: int, summary: Tensor) -> State:
        """Turn class means into a classifier: nearest centroid, with the centroid moved by the generator."""
        means = class_means(self.features(state, support.x), support, way)
        centroid = means + self.head(torch.cat([means, summary.expand(way, -1)], dim=1))
        return centroid_head(centroid)


def _generator(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, hidden), nn.ReLU(), last)
