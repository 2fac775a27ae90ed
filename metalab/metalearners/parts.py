"""Several prototypes of each class, the ground included, for masks (ASGNet, Li et al. 2021, section 3.2).

Superpixel-guided clustering and guided prototype allocation, by distance of features alone: ASGNet also
clusters by place, and decodes what it has allocated (that part is :mod:`metalab.metalearners.guided` here).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from metalab.metalearners.base import State, class_means, class_sums, one_hot, squared_distances
from metalab.metalearners.pixels import Pixels
from metalab.metalearners.protonet import ProtoNet
from metalab.tasks import Examples

CLUSTERING_STEPS = 5


class Parts(ProtoNet):
    """A class is the mean features of its parts; an example goes to the class of the nearest part.

    Which example belongs to which part is decided by k-means without gradient; the means pass it on.
    """

    class Options(ProtoNet.Options):
        """How finely classes are divided."""

        parts: int = Field(
            8, ge=1, le=64, title="Parts", description="Prototypes of each class, and of the ground."
        )

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``prototypes`` (way, parts, d)."""
        features, number = self.backbone(support.x), self.options.parts
        part = support.y * number + assigned(features.detach(), support, way, number)
        sums, counts = class_sums(features, Examples(support.x, part, support.mask), way * number)
        whole = class_means(features, support, way).repeat_interleave(number, 0)
        # A class of fewer different examples than parts has empty ones: they are as the whole class.
        own = sums / torch.where(counts > 0, counts, 1)[:, None]
        prototypes = torch.where(counts[:, None] > 0, own, whole)
        return {"prototypes": prototypes.unflatten(0, (way, number))}

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return minus the scaled squared distance to the nearest part of each class (n, way)."""
        way, number = state["prototypes"].shape[:2]
        logits = super().classify({"prototypes": state["prototypes"].flatten(0, 1)}, features)
        return logits.unflatten(1, (way, number)).amax(2)


class PixelParts(Pixels):
    """Parts of pixels: a wheel and a window of a car, sky and grass of the ground."""

    method, Options = Parts, Parts.Options
    name, label, order = "pixel-parts", "Several prototypes on pixels (ASGNet)", 11
    summary = "Compares each pixel with several average pixels of each class, and of the ground."


def assigned(features: Tensor, support: Examples, way: int, parts: int) -> Tensor:
    """Return the part (n,), in 0..parts-1, of its own class that each row of ``features`` (n, d) is in.

    k-means that starts from the class's mean and, one after the other, the example farthest from all before:
    so the order of examples does not matter, and nothing is drawn at random.
    """
    member = one_hot(support.y, way, features.dtype) * (support.weights() > 0)[:, None]
    newest = class_means(features, support, way)
    chosen, nearest = [newest], features.new_full((len(features),), torch.inf)
    for _ in range(parts - 1):
        nearest = torch.minimum(nearest, (features - newest[support.y]).square().sum(1))
        newest = features[torch.where(member > 0, nearest[:, None], -1).argmax(0)]
        chosen.append(newest)
    centres = torch.stack(chosen, 1)  # (way, parts, d)
    for _ in range(CLUSTERING_STEPS):
        shares = one_hot(_nearest(features, centres, support.y), parts, features.dtype)
        counts = torch.einsum("nk,np->kp", member, shares)[..., None]
        means = torch.einsum("nk,np,nd->kpd", member, shares, features) / counts.clamp(min=1)
        centres = torch.where(counts > 0, means, centres)
    return _nearest(features, centres, support.y)


def _nearest(features: Tensor, centres: Tensor, y: Tensor) -> Tensor:
    way, parts = centres.shape[:2]
    distances = squared_distances(features, centres.flatten(0, 1)).unflatten(1, (way, parts))
    return distances.gather(1, y[:, None, None].expand(-1, 1, parts))[:, 0].argmin(1)
