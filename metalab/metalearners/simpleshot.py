"""SimpleShot (Wang, Chao, Weinberger, van der Maaten 2019, equation 2): centre, unit length, nearest mean."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.metalearners.base import MetaLearner, State, class_means, scalar, squared_distances
from metalab.tasks import Examples


class SimpleShot(MetaLearner):
    """CL2N: features less a common centre, scaled to unit length, then the nearest class mean.

    The paper's centre is the mean feature of the base classes; here it is learnt with the backbone.
    """

    name, label, order = "simpleshot", "SimpleShot", 11
    summary = "ProtoNet on centred features of unit length. Robust when examples differ in contrast."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.centre = nn.Parameter(torch.zeros(backbone.feature_dim))
        self.log_temperature = scalar(2.0)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``prototypes`` (way, d): means of the transformed support features."""
        return {"prototypes": class_means(self._unit(self.backbone(support.x)), support, way)}

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return the centred features of unit length (n, d)."""
        return self._unit(self.backbone(x))

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return minus the scaled squared distances to the prototypes (n, way)."""
        return -squared_distances(features, state["prototypes"]) * self.log_temperature.exp()

    def _unit(self, features: Tensor) -> Tensor:
        return F.normalize(features - self.centre, dim=1)
