"""Prototypical networks (Snell, Swersky, Zemel 2017, equations 1 and 2)."""

from __future__ import annotations

from torch import Tensor

from metalab.metalearners.base import MetaLearner, State, class_means, scalar, squared_distances
from metalab.tasks import Examples


class ProtoNet(MetaLearner):
    """A class is the mean of its support features; a query goes to the nearest such prototype.

    The features themselves are not adjusted to the task: meta-training shapes them so that this rule works.
    A learnt temperature on the squared distances lets training start from pre-trained features of any scale.
    """

    name, label, order = "protonet", "ProtoNet", 10
    summary = "Compares with the average of each class's examples. Fast and hard to beat; start here."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.log_temperature = scalar(0.0)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``prototypes`` (way, d)."""
        return {"prototypes": class_means(self.backbone(support.x), support, way)}

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return minus the scaled squared distances to the prototypes (n, way)."""
        distances = squared_distances(features, state["prototypes"])
        return -distances * self.log_temperature.exp() / features.shape[-1]
