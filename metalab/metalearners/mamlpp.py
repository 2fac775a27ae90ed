"""MAML++ (Antoniou, Edwards, Storkey 2019, section 4): MAML made stable.

Of its six changes: the multi-step loss (equation 2), derivative-order annealing, learnt rates per layer and
step (LSLR), and the cosine schedule of the outer rate, which is the outer loop's own. Its per-step batch
statistics are left out: normalisation here is inductive by default.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from metalab.metalearners.base import task_loss
from metalab.metalearners.maml import MAML, InnerLoop
from metalab.tasks import Examples


class MAMLPlusPlus(MAML):
    """Learns one rate per layer and step, and is judged after every step early in training."""

    class Options(InnerLoop):
        """The inner rate is where the learnt ones start."""

        multi_step_share: float = Field(
            0.25,
            ge=0,
            le=1,
            title="Multi-step phase",
            description="Share of training in which the loss after earlier steps counts too, ever less.",
        )
        first_order_share: float = Field(
            0.0,
            ge=0,
            le=1,
            title="First-order phase",
            description="Share of training, at its start, that leaves out second derivatives.",
        )

    name, label, order = "mamlpp", "MAML++", 25
    summary = "MAML with learnt step sizes per layer and a steadier loss: easier to train with several steps."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        start = torch.full((options.inner_steps,), float(options.inner_lr))
        layers = [*backbone.params(), "head_weight", "head_bias"]
        self.rates = nn.ParameterDict({name: nn.Parameter(start.clone()) for name in layers})

    def rate(self, name: str, step: int) -> Tensor:
        """Return the learnt rate of layer ``name`` in ``step``."""
        return self.rates[name.replace(".", "_")][step]

    def second_order(self) -> Tensor | float:
        """Return 0 in the first-order phase, then 1."""
        if self.options.first_order_share == 0:
            return 1.0
        return (self.progress >= self.options.first_order_share).to(self.progress.dtype)

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the query losses after each step (equation 2), and the last logits.

        The weights start equal; those of earlier steps fall to zero over the multi-step phase.
        """
        outputs = [self.predict(state, query.x) for state in list(self.path(support, way).values())[1:]]
        losses = torch.stack([task_loss(output, query) for output in outputs])
        earlier = len(outputs) - 1
        if earlier == 0 or self.options.multi_step_share == 0:
            return losses[-1], outputs[-1]
        left = (1 - self.progress / self.options.multi_step_share).clamp(min=0).to(losses.dtype)
        each = left / len(outputs)
        return each * losses[:-1].sum() + (1 - earlier * each) * losses[-1], outputs[-1]
