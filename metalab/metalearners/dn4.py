"""DN4: local features instead of one vector an image (Li et al. 2019, equation 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from metalab.metalearners.base import MetaLearner, State, one_hot, scalar
from metalab.tasks import Examples


class DN4(MetaLearner):
    """Every place of a query looks for its nearest places among all images of a class; likenesses add up.

    Needs backbones that end in a map (Conv4); with one pooled vector it is a nearest-neighbour rule.
    """

    class Options(MetaLearner.Options):
        """How many neighbours count."""

        neighbours: int = Field(
            3, ge=1, le=50, title="Neighbours", description="Nearest places per class that count."
        )

    name, label, order = "dn4", "DN4 (local features)", 15
    summary = "Compares parts with parts. For classes told apart by details; best with large feature maps."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.log_temperature = scalar(3.0)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``places`` (n, places, c) of unit length, and ``labels`` (n, way), zero rows for padding."""
        labels = one_hot(support.y, way, support.x.dtype) * support.weights().unsqueeze(-1)
        return {"places": self._places(self.backbone(support.x)), "labels": labels}

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return the mean likeness (n, way) of a query's places to their nearest ones of each class."""
        asked, (n, places, _) = self._places(features), state["places"].shape
        likeness = torch.einsum("qpc,nrc->qpnr", asked, state["places"]).flatten(2)
        # Other classes' places get a likeness below any (-2), and are left out of the mean where a class has
        # fewer places than neighbours.
        member = state["labels"].repeat_interleave(places, dim=0).t()[None, None]
        of_class = likeness.unsqueeze(2) * member - 2 * (1 - member)
        best = of_class.topk(min(self.options.neighbours, n * places), dim=-1).values
        counts = (best >= -1.5).to(best.dtype)
        mean = (best * counts).sum((1, 3)) / counts.sum((1, 3)).clamp(min=1)
        return mean * self.log_temperature.exp()

    def _places(self, features: Tensor) -> Tensor:
        """Return unit vectors (n, places, c)."""
        maps = features.view(len(features), -1, self.backbone.map_size**2)
        return F.normalize(maps.transpose(1, 2), dim=2)
