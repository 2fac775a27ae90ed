"""ANIL for detection: the inner loop adapts the dense head to the support boxes (Raghu et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from metalab.backbones.pyramid import CHANNELS
from metalab.metalearners.base import MetaLearner, State, scalar
from metalab.metalearners.detectors import Detector
from metalab.metalearners.guided import box_loss
from metalab.tasks import Examples


class BoxANIL(Detector):
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
        level = self.level(self.backbone.params(), support.x)
        states = [self._head(support, way, level)]
        for _ in range(self.options.inner_steps):
            states.append(
                descended(states[-1], lambda s: box_loss(dense(s, level), support.y), self._rates())
            )
        return {f"step {i}": state for i, state in enumerate(states)}

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return the features of each place (places, 64)."""
        return self.level(self.params(state), x).permute(0, 2, 3, 1).flatten(0, 2)

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return the scores' logits (places, way)."""
        return F.linear(F.normalize(features, dim=1), state["scores.weight"], state["scores.bias"])

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return (n, way, 5, h, w), as :func:`metalab.boxes.decode_boxes` takes it."""
        return dense(state, self.level(self.params(state), x))

    def _head(self, support: Examples, way: int, level: Tensor) -> State:
        """Return the head before the first step."""
        inside = self.inside(support, way, level)
        unit = F.normalize(level, dim=1)
        own = F.normalize(torch.einsum("nkhw,nchw->kc", inside, unit), dim=1)
        ground = torch.einsum("nhw,nchw->c", (inside.amax(1) == 0).to(level), unit)
        return {
            "scores.weight": (own - F.normalize(ground, dim=0)) * self.log_sharpness.exp(),
            "scores.bias": self.threshold.expand(way),
            "sides.weight": self.sides_weight,
            "sides.bias": self.sides_bias,
        }

    def _rates(self) -> dict[str, Tensor]:
        return dict(zip(("scores", "sides"), self.log_rates.exp(), strict=True))


def descended(
    state: State, loss: Callable[[State], Tensor], rates: Mapping[str, Tensor], first_order: bool = False
) -> State:
    """Return ``state`` after a gradient step on ``loss``; ``rates`` are of what names begin with, before
    their first point, and that of "" of all others."""
    gradients = torch.func.grad(loss)(state)
    return {
        name: value
        - rates.get(name.split(".")[0], rates.get(""))
        * (gradients[name].detach() if first_order else gradients[name])
        for name, value in state.items()
    }


def dense(state: State, level: Tensor) -> Tensor:
    """Return the outputs (n, way, 5, h, w) of a linear head at every place of ``level`` (n, 64, h, w)."""
    unit = F.normalize(level, dim=1)  # of pre-trained length, 40 or so, a step on the sides would overshoot
    scores = torch.einsum("nchw,kc->nkhw", unit, state["scores.weight"])
    scores = scores + state["scores.bias"][:, None, None]
    sides = torch.einsum("nchw,fc->nfhw", unit, state["sides.weight"]) + state["sides.bias"][:, None, None]
    return torch.cat([scores[:, :, None], sides[:, None].expand(-1, scores.shape[1], -1, -1, -1)], 2)
