"""Operations of the backbones, chosen to be quick on a CPU, exact under vmap, and twice differentiable.

The network's maps lie in memory with their channels next to each other ("channels last"): there PyTorch pools
and reduces ten times faster on a CPU, and its convolutions need no change of layout.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    function = _Moments.forward if torch.jit.is_tracing() else _Moments.apply  # an export knows no functions
    return function(h, (2, 3) if per_image else (0, 2, 3))


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


def pooled_product(rows: Tensor, weights: Tensor, height: int, width: int) -> Tensor:
    """Return the 2×2 maxima (n, c, height // 2, width // 2) of the map that ``rows @ weights`` is.

    ``rows`` (n, height * width, k) and ``weights`` (k, c). The map, the largest of a network, is never made
    whole: on a CPU fresh memory for it costs more than the product. It passes through the cache in pieces,
    forward and on the way back, which needs the place of each maximum alone.
    """
    if torch.jit.is_tracing():
        return F.max_pool2d(_as_map(rows @ weights, (height, width)), 2)
    return _PooledProduct.apply(rows, weights, (height, width))[0]


def max_pool(h: Tensor) -> Tensor:
    """Return the 2×2 maxima (n, c, height // 2, width // 2) of ``h`` (n, c, height, width)."""
    return F.max_pool2d(h, 2) if torch.jit.is_tracing() else _MaxPool.apply(h)[0]


PIECE = 500_000
"""Values in a piece of a map, about: 2 MB lie in a core's cache."""


def _pieces(channels: int, rows: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut ``rows`` (n, m, k) and ``others`` (n, ...) along n; on an accelerator into one piece."""
    size = max(1, PIECE // (rows.shape[1] * channels)) if rows.device.type == "cpu" else len(rows)
    return zip(*(part.split(size) for part in (rows, *others)), strict=True)


def _as_map(rows: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ``rows`` (n, height * width, c) as a map (n, c, height, width), channels last in memory."""
    return rows.transpose(1, 2).unflatten(2, size)


def _unpool(values: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a map (n, c, height, width) of zeros with ``values`` (n, c, h, w) at their ``places``."""
    # The operation asks for the map it pooled, but only for its shape and layout: memory that is never
    # touched costs nothing, and the map itself need not live until the way back.
    n, channels = values.shape[:2]
    h = values.new_empty((n, *size, channels)).movedim(3, 1)
    return torch.ops.aten.max_pool2d_with_indices_backward(
        values, h, [2, 2], [2, 2], [0, 0], [1, 1], False, places
    )


def _as_rows(h: Tensor) -> Tensor:
    """Return a map (n, c, height, width) as rows (n, height * width, c)."""
    return h.flatten(2).transpose(1, 2)


class _PooledProduct(torch.autograd.Function):
    """The maxima of rows @ weights, and their places.

    With the places held, the maxima are linear in the rows, in the weights, and in what comes back for them:
    all derivatives of this function are :class:`_OfWeights`, :class:`_OfRows` and :class:`_AtPlaces`.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(rows: Tensor, weights: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        pooled = [
            F.max_pool2d(_as_map(piece @ weights, size), 2, return_indices=True)
            for (piece,) in _pieces(weights.shape[1], rows)
        ]
        return tuple(torch.cat(parts) for parts in zip(*pooled, strict=True))  # type: ignore[return-value]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*inputs[:2], output[1])
        ctx.size = inputs[2]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor, None]:
        return *_of_factors(ctx, gradient), None


class _Held(torch.autograd.Function):
    """What the derivatives share: three tensors, and the size (height, width) of the map."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:3])
        ctx.size = inputs[3]


def _of_factors(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
    """Bring ``gradient`` (n, c, h, w), at the held places, back to the rows, if asked, and the weights."""
    rows, weights, places = ctx.saved_tensors
    of_rows = _OfRows.apply(gradient, weights, places, ctx.size) if ctx.needs_input_grad[0] else None
    return of_rows, _OfWeights.apply(rows, gradient, places, ctx.size)


class _AtPlaces(_Held):
    """The values of rows @ weights at given places (n, c, h, w)."""

    @staticmethod
    def forward(rows: Tensor, weights: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
        found = [
            _as_map((piece @ weights).gather(1, _as_rows(at)), at.shape[2:])
            for piece, at in _pieces(weights.shape[1], rows, places)
        ]
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        return *_of_factors(ctx, gradient), None, None


class _OfWeights(_Held):
    """What comes back for the maxima (n, c, h, w), brought back to the weights (k, c)."""

    @staticmethod
    def forward(rows: Tensor, gradient: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
        return sum(
            piece.flatten(0, 1).t() @ _as_rows(_unpool(part, at, size)).flatten(0, 1)
            for piece, part, at in _pieces(gradient.shape[1], rows, gradient, places)
        )

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        rows, before, places = ctx.saved_tensors
        of_rows = _OfRows.apply(before, gradient, places, ctx.size) if ctx.needs_input_grad[0] else None
        return of_rows, _AtPlaces.apply(rows, gradient, places, ctx.size), None, None


class _OfRows(_Held):
    """What comes back for the maxima (n, c, h, w), brought back to the rows (n, height * width, k)."""

    @staticmethod
    def forward(gradient: Tensor, weights: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
        return _as_rows(_unpool(gradient, places, size)) @ weights.t()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        before, weights, places = ctx.saved_tensors
        return (
            _AtPlaces.apply(gradient, weights, places, ctx.size),
            _OfWeights.apply(gradient, before, places, ctx.size),
            None,
            None,
        )


class _MaxPool(torch.autograd.Function):
    """F.max_pool2d, whose second derivative vmap refuses for maps whose channels lie next to each other."""

    generate_vmap_rule = True

    @staticmethod
    def forward(h: Tensor) -> tuple[Tensor, Tensor]:
        return F.max_pool2d(h, 2, return_indices=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])
        ctx.size = inputs[0].shape[2:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> Tensor:
        return _Unpool.apply(gradient, *ctx.saved_tensors, ctx.size)


class _Unpool(torch.autograd.Function):
    """The way back of max-pooling: a linear map, and its transpose gathers what it has spread."""

    generate_vmap_rule = True

    @staticmethod
    def forward(gradient: Tensor, places: Tensor, size: torch.Size) -> Tensor:
        return _unpool(gradient, places, size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, torch.Size], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return _as_map(_as_rows(gradient).gather(1, _as_rows(places)), places.shape[2:]), None, None
