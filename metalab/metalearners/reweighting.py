"""Few-shot detection by feature reweighting (Kang et al. 2019, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.pyramid import CHANNELS
from metalab.metalearners.base import State
from metalab.metalearners.detectors import Detector
from metalab.metalearners.guided import HIDDEN, say_nothing
from metalab.tasks import Examples


class Reweighting(Detector):
    """A network turns the mean feature of a class's boxes into weights of the picture's features.

    The weighed features of each class go through one detector that all classes share. Boxes are those of an
    anchor-free head (FCOS) here, the paper has YOLO's.
    """

    name, label, order = "reweighting", "Feature reweighting (FSRW)", 32
    summary = "Turns each class's examples into weights of the picture's features. Small and fast."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.weigher = nn.Sequential(
            nn.Linear(2 * CHANNELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * CHANNELS)
        )
        self.first = nn.Conv2d(3 * CHANNELS, HIDDEN, 3, padding=1)
        self.norm = nn.GroupNorm(8, HIDDEN)
        self.out = nn.Conv2d(HIDDEN, 5, 3, padding=1)
        say_nothing(self.out)

    def adapt(self, support: Examples, way: int) -> State:
        """Return the weights (way, 128) of the features of each class: factors and prototypes."""
        level = self.level(self.backbone.params(), support.x)
        inside = self.inside(support, way, level)
        ground = (inside.amax(1, keepdim=True) == 0).to(level)

        def mean(weights: Tensor) -> Tensor:
            total = torch.einsum("nkhw,nchw->kc", weights, level)
            return total / weights.sum((0, 2, 3)).clamp(min=1e-6)[:, None]

        own = mean(inside)
        return {"weights": self.weigher(torch.cat([own, own - mean(ground)], 1)), "means": own}

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return the weighed features of each place (places, way * 64)."""
        maps = self.level(self.params(state), x)[:, None] * state["weights"][:, :CHANNELS, None, None]
        return maps.flatten(1, 2).permute(0, 2, 3, 1).flatten(0, 2)

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Not defined: places are judged with their neighbours. Use :meth:`predict`."""
        raise NotImplementedError("a detector looks at whole pictures: use predict")

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return (n, way, 5, h, w), as :func:`metalab.boxes.decode_boxes` takes it."""
        level, found = self.level(self.params(state), x), []
        for weights, mean in zip(state["weights"], state["means"], strict=True):
            factor, shift = weights.split(CHANNELS)
            near = F.normalize(level, dim=1) * F.normalize(mean, dim=0)[:, None, None] * CHANNELS**0.5
            parts = [level, level * factor[:, None, None] + shift[:, None, None], near]
            h = F.relu(self.norm(self.first(torch.cat(parts, 1))))
            found.append(self.out(h))
        return torch.stack(found, 1)
