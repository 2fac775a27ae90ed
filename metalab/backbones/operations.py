"""Operations of the backbones, chosen to be quick on a CPU, exact under vmap, and twice differentiable.

The network's maps lie in memory with their channels next to each other ("channels last"): there PyTorch pools
and reduces ten times faster on a CPU, and its convolutions need no change of layout.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Moments = tuple[Tensor, Tensor]
"""Mean and variance of each channel, (channels,), or (n, channels) where each image has its own."""


def patches(x: Tensor) -> Tensor:
    """Return the 3×3 patches (n, height * width, channels * 9) of ``x`` (n, channels, height, width)."""
    height, width = x.shape[2:]
    padded = F.pad(x, (1, 1, 1, 1))
    shifted = [padded[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return torch.stack(shifted, dim=-1).movedim(1, 3).flatten(3).flatten(1, 2)


def moments(h: Tensor, per_image: bool) -> Moments:
    """Return mean and biased variance of each channel of ``h`` (n, c, height, width), (c,) or (n, c)."""
    return _Moments.apply(h, (2, 3) if per_image else (0, 2, 3))


class _Moments(torch.autograd.Function):
    """Mean and variance whose way back is one pass over the map and keeps no second map in memory.

    Composite on purpose, not F.batch_norm: under vmap with per-task weights its second-order gradients were
    silently wrong in torch 2.14. Not torch.var_mean either: on a CPU its loop over maps whose channels lie
    next to each other is ten times slower.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(h: Tensor, dims: tuple[int, ...]) -> Moments:
        mean = h.mean(dims)
        return mean, (h - mean[..., None, None]).square().mean(dims)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, tuple[int, ...]], output: Moments) -> None:
        ctx.save_for_backward(inputs[0], output[0])

    @staticmethod
    def backward(ctx: Any, of_mean: Tensor, of_var: Tensor) -> tuple[Tensor, None]:
        # Written in differentiable operations: its own derivative is autograd's.
        h, mean = ctx.saved_tensors
        count = h.numel() / mean.numel()
        slope = of_var * (2 / count)
        offset = of_mean / count - slope * mean
        return torch.addcmul(offset[..., None, None], h, slope[..., None, None]), None


def moments_of_product(rows: Tensor, weights: Tensor) -> Moments:
    """Return mean and variance (..., c) over the rows of ``rows @ weights``, (..., m, k) and (k, c).

    From the rows' covariance, of size k: the product itself is not read again, forward or backward.
    """
    mean = rows.mean(-2)
    centred = rows - mean.unsqueeze(-2)
    covariance = centred.transpose(-1, -2) @ centred / rows.shape[-2]
    return mean @ weights, (weights * (covariance @ weights)).sum(-2)


def max_pool(h: Tensor) -> Tensor:
    """Return the 2×2 maxima (n, c, height // 2, width // 2) of ``h`` (n, c, height, width)."""
    return _MaxPool.apply(h)[0]


class _MaxPool(torch.autograd.Function):
    """F.max_pool2d, whose second derivative vmap refuses for maps whose channels lie next to each other."""

    generate_vmap_rule = True

    @staticmethod
    def forward(h: Tensor) -> tuple[Tensor, Tensor]:
        return F.max_pool2d(h, 2, return_indices=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(inputs[0], output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> Tensor:
        return _Unpool.apply(gradient, *ctx.saved_tensors)


class _Unpool(torch.autograd.Function):
    """The way back of max-pooling: a linear map, and its transpose gathers what it has spread."""

    generate_vmap_rule = True

    @staticmethod
    def forward(gradient: Tensor, h: Tensor, places: Tensor) -> Tensor:
        return torch.ops.aten.max_pool2d_with_indices_backward(
            gradient, h, [2, 2], [2, 2], [0, 0], [1, 1], False, places
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        rows, chosen = (t.movedim(1, 3).flatten(1, 2) for t in (gradient, places))
        return rows.gather(1, chosen).transpose(1, 2).unflatten(2, places.shape[2:]), None, None
