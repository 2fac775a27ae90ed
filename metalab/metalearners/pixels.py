"""Pixels are examples like any other: common meta-learners that classify the pixels of a picture.

The backbone's features are those of pixels; each labelled support pixel is an example, with the ground as one
more class. PANet (Wang et al. 2019) is ProtoNet so used, with masked average pooling as its class mean.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from metalab.metalearners.anil import ANIL
from metalab.metalearners.base import State
from metalab.metalearners.film import FiLM
from metalab.metalearners.guided import mask_loss, mask_shares
from metalab.metalearners.lrd2 import LRD2
from metalab.metalearners.maml import MAML
from metalab.metalearners.places import Labelling, Places, balanced
from metalab.metalearners.protonet import ProtoNet
from metalab.metalearners.r2d2 import R2D2
from metalab.tasks import Examples

GROUND_SHARE = 0.5
"""Weight of all ground pixels together in the support set; the classes share the rest evenly."""


def pixel_examples(support: Examples, way: int) -> Examples:
    """Return ``support`` with a label (pixels,) of each pixel at half the side.

    ``mask`` holds weights, so that a large ground does not drown small objects; together they are as many
    as the pixels. Pixels that do not count, and those of padding, weigh nothing.
    """
    height, width = support.y.shape[1:]
    shares = mask_shares(support.y, way, (height // 2, width // 2))
    y = shares.argmax(1).flatten()
    counts = (shares.sum(1) > 0).flatten().to(support.x.dtype)
    if support.mask is not None:
        counts = counts * support.mask.to(counts.dtype).repeat_interleave(height * width // 4)
    wanted = torch.cat([counts.new_tensor([GROUND_SHARE]), counts.new_full((way,), (1 - GROUND_SHARE) / way)])
    return Examples(support.x, y, balanced(y, counts, wanted))


def as_maps(logits: Tensor, x: Tensor) -> Tensor:
    """Return ``logits`` (pixels, k) of pictures ``x`` at half their side as maps (n, k, height, width)."""
    n, _, height, width = x.shape
    maps = logits.view(n, height // 2, width // 2, -1).permute(0, 3, 1, 2)
    return F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)


MASKS = Labelling(lambda way: way + 1, pixel_examples, as_maps, mask_loss)
"""Of pixels: the ground, and each class."""


class Pixels(Places):
    """Runs a method on pixels: support masks (n, height, width) become labels of the map's pixels.

    Outputs are logits (n, 1 + way, height, width), the ground first.
    """

    application, labelling = "segmentation", MASKS


class PixelProtoNet(Pixels):
    """PANet: a class is the mean feature of its pixels."""

    method, Options = ProtoNet, ProtoNet.Options
    name, label, order = "pixel-protonet", "ProtoNet on pixels (PANet)", 10
    summary = "Compares each pixel with the average pixel of each class. Fast; start here."


class PixelR2D2(Pixels):
    """A ridge head per pixel, solved in closed form."""

    method, Options = R2D2, R2D2.Options
    name, label, order = "pixel-r2d2", "Ridge head on pixels (R2-D2)", 40
    summary = "Solves for the best linear classifier of pixels at once."


class UnitLRD2(LRD2):
    """A logistic head on features of one length: backbones differ in how long theirs are."""

    class Options(LRD2.Options):
        """Number of Newton steps, and the start of the learnt regularisation."""

        ridge: float = Field(
            0.1, gt=0, le=1e6, title="Ridge", description="Regularisation λ that training starts from."
        )

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return features (pixels, d) of length √d."""
        features = super().features(state, x)
        return F.normalize(features, dim=1) * math.sqrt(features.shape[1])


class PixelLRD2(Pixels):
    """Logistic regression per pixel, in a few Newton steps; good without any meta-training."""

    method, Options = UnitLRD2, UnitLRD2.Options
    name, label, order = "pixel-lrd2", "Logistic head on pixels (LR-D2)", 41
    summary = (
        "Fits a classifier of pixels in a few Newton steps. Best where new pictures look like the labelled."
    )


class PixelANIL(Pixels):
    """The inner loop adapts the pixel head."""

    method, Options = ANIL, ANIL.Options
    name, label, order = "pixel-anil", "ANIL on pixels", 22
    summary = "A few gradient steps on the classifier of pixels."


class PixelMAML(Pixels):
    """The inner loop adapts the whole network to the support pixels."""

    method, Options = MAML, MAML.Options
    name, label, order = "pixel-maml", "MAML on pixels", 20
    summary = "A few gradient steps on the whole network. Slow on pictures."


class PixelFiLM(Pixels):
    """A hypernetwork reads the support pixels and modulates the network."""

    method, Options = FiLM, FiLM.Options
    name, label, order = "pixel-film", "FiLM hypernetwork on pixels", 31
    summary = "A network reads the labelled pixels and adjusts the feature extractor."
