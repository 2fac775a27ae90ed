"""FEAT: prototypes adapted by a transformer over the set of classes (Ye et al. 2020, equations 4-6)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from metalab.metalearners.base import State, class_means
from metalab.metalearners.protonet import ProtoNet
from metalab.tasks import Examples


class FEAT(ProtoNet):
    """Each prototype looks at all others by self-attention and moves to where it tells them apart.

    One head of attention with a residual, as in the paper; the output starts at zero, so meta-training
    starts from ProtoNet. The paper's auxiliary contrastive loss (equation 7) is left out.
    """

    name, label, order = "feat", "FEAT (set-to-set)", 14
    summary = "ProtoNet whose class averages adjust to each other. A good step up for hard, similar classes."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        d = backbone.feature_dim
        self.scale = nn.LayerNorm(d)
        self.asks, self.keys, self.values, self.out = (nn.Linear(d, d, bias=False) for _ in range(4))
        nn.init.zeros_(self.out.weight)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``prototypes`` (way, d) after attention."""
        return list(self.path(support, way).values())[-1]

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the prototypes before and after they have looked at each other."""
        means = class_means(self.backbone(support.x), support, way)
        scaled = self.scale(means)
        asks, keys, values = (layer(scaled) for layer in (self.asks, self.keys, self.values))
        attention = F.softmax(asks @ keys.t() / means.shape[1] ** 0.5, dim=1)
        return {
            "means": {"prototypes": means},
            "adapted": {"prototypes": means + self.out(attention @ values)},
        }
