"""ANIL for detection: the inner loop adapts the dense head to the support boxes (Raghu et al. 2020)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from metalab.backbones.pyramid import CHANNELS
from metalab.boxes import box_targets
from metalab.metalearners.base import MetaLearner, State, scalar
from metalab.metalearners.guided import box_loss
from metalab.tasks import Examples


class BoxANIL(MetaLearner):
    """A linear head at every place; its scores start from prototypes, its sides from learnt weights.

    The second derivatives are kept. Rates are learnt for each of the two (Meta-SGD's idea).
    """

    class Options(MetaLearner.Options):
        """Inner-loop settings."""

        inner_steps: int = Field(
            5, ge=1, le=1000, title="Inner steps", description="Gradient steps on the support boxes."
        )
        inner_lr: float = Field(
            0.5, gt=0, le=100, title="Inner rate", description="Step size that training starts from."
        )

    application = "detection"
    name, label, order = "anil-boxes", "ANIL on the dense head", 22
    summary = "A few gradient steps on the detector's last layer."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.sides_weight = nn.Parameter(torch.zeros(4, CHANNELS))
        self.sides_bias = nn.Parameter(torch.full((4,), math.log(3.0)))
        self.log_sharpness, self.threshold = scalar(2.0), scalar(-2.0)
        self.log_rates = nn.Parameter(torch.full((2,), math.log(options.inner_lr)))

    def adapt(self, support: Examples, way: int) -> State:
        """Return the head after the last step."""
        return list(self.path(support, way).values())[-1]

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the heads before the first and after each inner step: ``scores.weight`` (way, 64),
        ``scores.bias`` (way,), ``sides.weight`` (4, 64), ``sides.bias`` (4,)."""
        level = self._level(support.x)
        inside = box_targets(support.y, way, *level.shape[2:])[0]
        if support.mask is not None:
            inside = inside * support.mask.to(inside)[:, None, None, None]
        unit = F.normalize(level, dim=1)
        own = F.normalize(torch.einsum("nkhw,nchw->kc", inside, unit), dim=1)
        ground = torch.einsum("nhw,nchw->c", (inside.amax(1) == 0).to(level), unit)
        weight = (own - F.normalize(ground, dim=0)) * self.log_sharpness.exp()
        states = [
            {
                "scores.weight": weight,
                "scores.bias": self.threshold.expand(way),
                "sides.weight": self.sides_weight,
                "sides.bias": self.sides_bias,
            }
        ]
        rates = dict(zip(("scores", "sides"), self.log_rates.exp(), strict=True))
        for _ in range(self.options.inner_steps):
            gradients = torch.func.grad(lambda state: box_loss(_head(state, level), support.y))(states[-1])
            states.append(
                {
                    name: value - rates[name.split(".")[0]] * gradients[name]
                    for name, value in states[-1].items()
                }
            )
        return {f"step {i}": state for i, state in enumerate(states)}

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return the features of each place (places, 64)."""
        return self._level(x).permute(0, 2, 3, 1).flatten(0, 2)

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return the scores' logits (places, way)."""
        return F.linear(F.normalize(features, dim=1), state["scores.weight"], state["scores.bias"])

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return (n, way, 5, h, w), as :func:`metalab.boxes.decode_boxes` takes it."""
        return _head(state, self._level(x))

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the loss of the query pictures' boxes and the outputs."""
        outputs = self.predict(self.adapt(support, way), query.x)
        return box_loss(outputs, query.y), outputs

    def _level(self, x: Tensor) -> Tensor:
        return self.backbone.levels(self.backbone.params(), x)[1]


def _head(state: State, level: Tensor) -> Tensor:
    unit = F.normalize(level, dim=1)  # of pre-trained length, 40 or so, a step on the sides would overshoot
    scores = torch.einsum("nchw,kc->nkhw", unit, state["scores.weight"])
    scores = scores + state["scores.bias"][:, None, None]
    sides = torch.einsum("nchw,fc->nfhw", unit, state["sides.weight"]) + state["sides.bias"][:, None, None]
    return torch.cat([scores[:, :, None], sides[:, None].expand(-1, scores.shape[1], -1, -1, -1)], 2)
