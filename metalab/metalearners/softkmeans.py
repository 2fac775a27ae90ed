"""Soft k-means prototypes (Ren et al. 2018, equations 2 and 3). Transductive."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from metalab.metalearners.base import State, class_sums, squared_distances
from metalab.metalearners.protonet import ProtoNet
from metalab.tasks import Examples


class SoftKMeans(ProtoNet):
    """ProtoNet whose prototypes move towards the queries that they attract.

    Ren et al. refine with unlabelled examples of their own; here these are the queries themselves, so a
    prediction depends on the other queries: transductive.
    """

    class Options(ProtoNet.Options):
        """How often prototypes are refined."""

        refinements: int = Field(1, ge=1, le=50, title="Refinements", description="Soft k-means steps.")

    name, label, order = "softkmeans", "Soft k-means", 50
    summary = "ProtoNet that also learns from the unlabelled images to be classified, all at once."
    uses_other_queries = True

    def adapt(self, support: Examples, way: int) -> State:
        """Return the class ``sums`` (way, d) and ``counts`` (way,) of the support features."""
        sums, counts = class_sums(self.backbone(support.x), support, way)
        return {"sums": sums, "counts": counts}

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return minus the scaled squared distances to the refined prototypes (n, way)."""
        scale = self.log_temperature.exp() / features.shape[-1]
        prototypes = state["sums"] / state["counts"].clamp(min=1).unsqueeze(-1)
        for _ in range(self.options.refinements):
            shares = F.softmax(-squared_distances(features, prototypes) * scale, dim=1)
            counts = (state["counts"] + shares.sum(0)).clamp(min=torch.finfo(shares.dtype).eps)
            prototypes = (state["sums"] + shares.t() @ features) / counts.unsqueeze(-1)
        return -squared_distances(features, prototypes) * scale
