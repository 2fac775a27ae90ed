"""Meta-SGD (Li, Zhou, Chen, Li 2017, equation 2): MAML with a learnt step size for every single weight."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metalab.metalearners.base import scalar
from metalab.metalearners.maml import MAML


class MetaSGD(MAML):
    """As MAML, but direction and size of each weight's step are meta-learnt; a step may even go uphill.

    The rows of the head share one vector of step sizes, so that one meta-learner serves any way.
    """

    name, label, order = "metasgd", "Meta-SGD", 24
    summary = "MAML that also learns how far each weight should move. One step is often enough."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        start = options.inner_lr
        self.rates = nn.ParameterDict(
            {name: nn.Parameter(torch.full_like(value, start)) for name, value in backbone.params().items()}
        )
        self.head_rate = nn.Parameter(torch.full((backbone.feature_dim,), start))
        self.bias_rate = scalar(start)

    def rate(self, name: str, step: int) -> Tensor:
        """Return the learnt step sizes, broadcastable to parameter ``name``, the same in every step."""
        if name == "head.weight":
            return self.head_rate
        return self.bias_rate if name == "head.bias" else self.rates[name]
