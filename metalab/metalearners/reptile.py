"""Reptile (Nichol, Achiam, Schulman 2018, algorithm 2): move the start towards where adaptation ends."""

from __future__ import annotations

from torch import Tensor

from metalab.metalearners.base import task_loss
from metalab.metalearners.fomaml import FOMAML
from metalab.tasks import Examples


class Reptile(FOMAML):
    """As first-order MAML at task time; meta-training looks at no query loss at all.

    The outer gradient of a task is start minus end of an inner loop over all its examples, support and
    query together, which is the gradient of half the squared distance to that end, held constant.
    """

    name, label, order = "reptile", "Reptile", 26
    summary = "Repeats: adapt, then move the start a little that way. Simple and first order; learns slowly."

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the query loss after adapting to the support set, its gradient Reptile's, and the logits."""
        outputs = self.predict(self.adapt(support, way), query.x).detach()
        everything = support.joined(query)
        path = list(self.path(everything, way).values())
        distance = sum((path[0][name] - end.detach()).square().sum() for name, end in path[-1].items())
        return task_loss(outputs, query) + (distance - distance.detach()) / 2, outputs
