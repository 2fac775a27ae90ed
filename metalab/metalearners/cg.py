"""Conjugate gradient (Hestenes and Stiefel 1952), a fixed number of steps, on dictionaries of tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from metalab.metalearners.base import State


def conjugate_gradient(product: Callable[[State], State], right: State, steps: int) -> State:
    """Return x with ``product`` (x) = ``right`` for a symmetric positive ``product``."""
    solution = {name: torch.zeros_like(value) for name, value in right.items()}
    residual = direction = right
    size = _dot(residual, residual)
    # Steps after convergence would follow rounding errors away: they are idle.
    small = (16 * torch.finfo(size.dtype).eps) ** 2 * size
    for _ in range(steps):
        moved = product(direction)
        rate = _ratio(size, _dot(direction, moved), size > small)
        solution = _add(solution, rate, direction)
        residual = _add(residual, -rate, moved)
        new = _dot(residual, residual)
        direction = _add(residual, _ratio(new, size, size > small), direction)
        size = new
    return solution


def _dot(a: State, b: State) -> Tensor:
    return torch.stack([(a[name] * b[name]).sum() for name in a]).sum()


def _add(a: State, factor: Tensor, b: State) -> State:
    return {name: value + factor * b[name] for name, value in a.items()}


def _ratio(a: Tensor, b: Tensor, busy: Tensor) -> Tensor:
    """Return a / b; 0 if not ``busy``, or where b is not positive: there the product curves down."""
    usable = busy & (b > torch.finfo(b.dtype).tiny)
    return torch.where(usable, a / torch.where(usable, b, 1), 0)
