"""PT-MAP: balanced assignment of all queries by Sinkhorn (Hu et al. 2021, algorithm 1). Transductive."""

from __future__ import annotations

import math

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from metalab.metalearners.base import State, class_sums
from metalab.metalearners.simpleshot import SimpleShot
from metalab.tasks import Examples


class PTMAP(SimpleShot):
    """Alternates: assign the queries to classes by optimal transport, move the prototypes to the result.

    The power transform of the paper is for features that are never negative; centred features of unit length
    take its place. It supposes that the classes are equally frequent among the queries: a prediction depends
    on the other queries, and is misled when they are not balanced.
    """

    class Options(SimpleShot.Options):
        """How the prototypes follow the assignment."""

        refinements: int = Field(5, ge=1, le=100, title="Refinements", description="Prototype updates.")
        momentum: float = Field(
            0.2, gt=0, le=1, title="Step", description="How far a prototype moves to its assigned mean (α)."
        )
        sinkhorn_steps: int = Field(
            10, ge=1, le=1000, title="Sinkhorn steps", description="Row and column scalings of a transport."
        )

    name, label, order = "ptmap", "PT-MAP (Sinkhorn)", 51
    summary = (
        "Assigns all images at once, equally many to each class. Strong where that is true; else misled."
    )
    uses_other_queries = True

    def adapt(self, support: Examples, way: int) -> State:
        """Return the class ``sums`` (way, d) and ``counts`` (way,) of the transformed support features."""
        sums, counts = class_sums(self._unit(self.backbone(support.x)), support, way)
        return {"sums": sums, "counts": counts}

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return the logarithm of the share of each query's mass that each class receives (n, way)."""
        sums, counts = state["sums"], state["counts"].unsqueeze(-1)
        prototypes = sums / counts.clamp(min=1)
        for _ in range(self.options.refinements):
            shares = self._transport(features, prototypes).exp()
            means = (sums + shares.t() @ features) / (counts + shares.sum(0).unsqueeze(-1))
            prototypes = prototypes + self.options.momentum * (means - prototypes)
        return self._transport(features, prototypes)

    def _transport(self, features: Tensor, prototypes: Tensor) -> Tensor:
        """Return the logarithm of the plan (n, way) with rows of mass 1 and columns of mass n / way."""
        plan = super().classify({"prototypes": prototypes}, features)
        column = math.log(len(features) / len(prototypes))
        for _ in range(self.options.sinkhorn_steps):
            plan = plan - plan.logsumexp(0, keepdim=True) + column
            plan = F.log_softmax(plan, dim=1)
        return plan
