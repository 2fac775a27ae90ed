"""Relation networks (Sung et al. 2018, equation 1): the distance itself is a network."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from metalab.metalearners.base import MetaLearner, State, class_means, scalar, squared_distances
from metalab.tasks import Examples


class RelationNet(MetaLearner):
    """A small convolutional network looks at the feature maps of a query and of a class, and scores the pair.

    Two convolutions and two linear layers as in the paper, without batch norm (a score must not depend on
    other queries), and trained by cross-entropy, as every method here; the paper's squared error is worse
    by its successors' account. The score is added to a learnt share of the distance to the class's mean,
    with which it starts.
    """

    class Options(MetaLearner.Options):
        """Size of the relation network."""

        hidden: int = Field(64, ge=4, le=1024, title="Hidden", description="Channels of the convolutions.")

    name, label, order = "relation", "Relation Network", 13
    summary = "Learns how to compare, instead of using a fixed distance."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        channels, hidden = backbone.feature_dim // backbone.map_size**2, options.hidden
        self.scale = nn.LayerNorm(backbone.feature_dim)
        self.first = nn.Conv2d(2 * channels, hidden, 3, padding=1)
        self.second = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.last = nn.Sequential(nn.Linear(hidden, 8), nn.ReLU(), nn.Linear(8, 1))
        nn.init.zeros_(self.last[-1].weight)
        self.log_temperature = scalar(0.0)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``prototypes`` (way, d): the mean feature maps (the paper's sum, whatever the shot)."""
        return {"prototypes": class_means(self.backbone(support.x), support, way)}

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return relation scores (n, way)."""
        queries, classes = self._first_half(features, 1), self._first_half(state["prototypes"], 0)
        n, way = len(features), len(state["prototypes"])
        # A convolution of two concatenated maps is the sum of one of each: pairs meet only after it.
        pairs = F.relu(queries[:, None] + classes[None]).flatten(0, 1)
        pooled = F.relu(self.second(pairs)).mean((2, 3))
        distances = squared_distances(features, state["prototypes"]) / features.shape[1]
        return self.last(pooled).view(n, way) - self.log_temperature.exp() * distances

    def _first_half(self, features: Tensor, half: int) -> Tensor:
        size = self.backbone.map_size
        maps = self.scale(features).view(len(features), -1, size, size)
        bias = self.first.bias if half else None
        return F.conv2d(maps, self.first.weight.chunk(2, dim=1)[half], bias, padding=1)
