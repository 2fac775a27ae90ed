"""Sinusoid regression, MAML's own benchmark (Finn et al. 2017, section 5.1)."""

from __future__ import annotations

import math

import torch

from metalab.tasks import Examples, TaskBatch


def sinusoids(n_tasks: int, shot: int, query: int, generator: torch.Generator) -> TaskBatch:
    """Draw ``n_tasks`` regression tasks y = a sin(x - b); x and y are (n_tasks, n, 1) floats, way 1.

    a is uniform in 0.1..5, b in 0..π, x in -5..5, as in the paper.
    """
    device = generator.device

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, device=device, generator=generator)

    amplitude, phase = 0.1 + 4.9 * uniform(n_tasks, 1, 1), math.pi * uniform(n_tasks, 1, 1)
    x = 10 * uniform(n_tasks, shot + query, 1) - 5
    y = amplitude * torch.sin(x - phase)
    return TaskBatch(Examples(x[:, :shot], y[:, :shot]), Examples(x[:, shot:], y[:, shot:]), way=1)
