"""MAML for detection: the inner loop adapts the dense head and the whole network (Finn et al. 2017)."""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor

from metalab.backbones.base import Params
from metalab.metalearners.anil_boxes import BoxANIL, dense, descended
from metalab.metalearners.base import State, scalar
from metalab.metalearners.guided import box_loss
from metalab.tasks import Examples


class BoxMAML(BoxANIL):
    """As :class:`BoxANIL`, with the backbone's parameters in the inner loop, at a rate of their own."""

    class Options(BoxANIL.Options):
        """Inner-loop settings."""

        inner_steps: int = Field(
            3, ge=1, le=1000, title="Inner steps", description="Gradient steps on the support boxes."
        )
        backbone_lr: float = Field(
            0.001,
            gt=0,
            le=100,
            title="Inner rate of the backbone",
            description="Step size of the network under the head that training starts from.",
        )
        first_order: bool = Field(
            True, title="First order", description="Leave out second derivatives: faster, approximate."
        )

    name, label, order = "maml-boxes", "MAML on the detector", 20
    summary = "A few gradient steps on the whole network. Slow on pictures."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.log_backbone_rate = scalar(math.log(options.backbone_lr))

    def params(self, state: State) -> Params:
        """Return the adapted backbone's parameters."""
        return state

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return backbone and head before the first and after each inner step."""
        params = self.backbone.params()
        states = [{**params, **self._head(support, way, self.level(params, support.x))}]

        def loss(state: State) -> Tensor:
            return box_loss(dense(state, self.level(state, support.x)), support.y)

        rates = {**self._rates(), "": self.log_backbone_rate.exp()}
        for _ in range(self.options.inner_steps):
            states.append(descended(states[-1], loss, rates, self.options.first_order))
        return {f"step {i}": state for i, state in enumerate(states)}
