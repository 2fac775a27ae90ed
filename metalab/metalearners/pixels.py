"""Pixels are examples like any other: common meta-learners that classify the pixels of a picture.

The backbone's features are those of pixels; each labelled support pixel is an example, with the ground as one
more class. PANet (Wang et al. 2019) is ProtoNet so used, with masked average pooling as its class mean.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.metalearners.anil import ANIL
from metalab.metalearners.base import MetaLearner, State
from metalab.metalearners.film import FiLM
from metalab.metalearners.guided import mask_loss, mask_shares
from metalab.metalearners.maml import MAML
from metalab.metalearners.protonet import ProtoNet
from metalab.metalearners.r2d2 import R2D2
from metalab.tasks import Examples

GROUND_SHARE = 0.5
"""Weight of all ground pixels together in the support set; the classes share the rest evenly."""


class Pixels(MetaLearner):
    """Runs ``method`` on pixels: support masks (n, height, width) become labels of the map's pixels."""

    application = "segmentation"
    method: ClassVar[type[MetaLearner]]

    def __init__(self, backbone, options) -> None:
        nn.Module.__init__(self)
        self.inner = self.method(backbone, options)

    @property
    def backbone(self) -> Any:
        """The inner method's."""
        return self.inner.backbone

    @property
    def options(self) -> Any:
        """The inner method's."""
        return self.inner.options

    @property
    def progress(self) -> Tensor:
        """The inner method's."""
        return self.inner.progress

    def adapt(self, support: Examples, way: int) -> State:
        """Return the inner method's state for ``way`` classes and the ground."""
        return self.inner.adapt(pixel_examples(support, way), way + 1)

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the inner method's path."""
        return self.inner.path(pixel_examples(support, way), way + 1)

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return features (pixels, d) of pictures (n, C, height, width), at half the side."""
        return self.inner.features(state, x)

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return logits (pixels, 1 + way)."""
        return self.inner.classify(state, features)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return logits (n, 1 + way, height, width), the ground first."""
        return as_maps(super().predict(state, x), x)

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the loss of the query pictures' masks and the logits."""
        outputs = self.predict(self.adapt(support, way), query.x)
        return mask_loss(outputs, query.y), outputs


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
    member = (y[:, None] == torch.arange(way + 1, device=y.device)).to(counts.dtype) * counts[:, None]
    wanted = torch.cat([member.new_tensor([GROUND_SHARE]), member.new_full((way,), (1 - GROUND_SHARE) / way)])
    each = len(y) * wanted / member.sum(0).clamp(min=1)
    return Examples(support.x, y, member @ each)


def as_maps(logits: Tensor, x: Tensor) -> Tensor:
    """Return ``logits`` (pixels, k) of pictures ``x`` at half their side as maps (n, k, height, width)."""
    n, _, height, width = x.shape
    maps = logits.view(n, height // 2, width // 2, -1).permute(0, 3, 1, 2)
    return F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)
