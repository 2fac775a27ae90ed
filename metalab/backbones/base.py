"""What every backbone shares: pure extraction, normalisation, FiLM, standardised inputs."""

from __future__ import annotations

import copy
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Normalisation = Literal["running", "group", "batch"]
Params = Mapping[str, Tensor]
Film = Sequence[tuple[Tensor, Tensor]]
"""Per block a pair (gamma, beta), each (channels of the block,): features become (1 + gamma) * h + beta."""


_INITIALISING = threading.Lock()


@contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Let modules made inside draw their initial weights from ``seed``; the global generator is as before.

    Torch's layers draw from that one generator alone, so threads take turns.
    """
    with _INITIALISING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class Backbone(nn.Module, ABC):
    """Images (n, channels, size, size) in 0..1 → features (n, feature_dim).

    :meth:`extract` is pure: it reads ``params`` (the names of :meth:`params`) and fixed buffers, so an
    adapted backbone is simply another ``params``. The mean and deviation of meta-train images are buffers
    and travel with the weights.
    """

    momentum: float = 0.1
    """Share of the latest batch in the running statistics while they are measured; 1: that batch alone."""
    film_channels: tuple[int, ...]
    """Channels of each block, where FiLM may adjust."""
    feature_dim: int
    map_size: int = 1
    """Side of the square map that the features are, flattened channel after channel; 1: pooled."""

    def __init__(self, channels: int, size: int, width: int, normalisation: Normalisation) -> None:
        super().__init__()
        self.channels, self.size, self.width, self.normalisation = channels, size, width, normalisation
        self.register_buffer("input_mean", torch.zeros(channels))
        self.register_buffer("input_std", torch.ones(channels))

    @abstractmethod
    def extract(self, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
        """Return features (n, feature_dim) of ``x`` (n, channels, size, size) under ``params``."""

    def params(self) -> dict[str, Tensor]:
        """Return the backbone's own parameters by name."""
        return dict(self.named_parameters())

    def forward(self, x: Tensor) -> Tensor:
        """Return :meth:`extract` under the backbone's own parameters."""
        return self.extract(self.params(), x)

    @property
    def transductive(self) -> bool:
        """Whether a prediction depends on the other images predicted with it."""
        return self.normalisation == "batch"

    def fresh(self, seed: int) -> Backbone:
        """Return a newly initialised backbone of the same shape, with the same input statistics."""
        with seeded_initialisation(seed):
            new = type(self)(self.channels, self.size, self.width, self.normalisation)
        new.input_mean.copy_(self.input_mean)
        new.input_std.copy_(self.input_std)
        return new.to(self.input_mean.device)

    def frozen_copy(self) -> Backbone:
        """Return a copy that no optimiser touches."""
        return copy.deepcopy(self).requires_grad_(False).eval()

    def standardise(self, x: Tensor) -> Tensor:
        """Return ``x`` less the meta-train mean, over its deviation."""
        return (x - self.input_mean[:, None, None]) / self.input_std[:, None, None]

    def _add_norm(self, name: str, channels: int) -> None:
        """Register the affine parameters, and where needed the running statistics, of one norm."""
        self.register_parameter(f"{name}_weight", nn.Parameter(torch.ones(channels)))
        self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(channels)))
        if self.normalisation == "running":
            self.register_buffer(f"{name}_mean", torch.zeros(channels))
            self.register_buffer(f"{name}_var", torch.ones(channels))

    def _norm(self, params: Params, name: str, h: Tensor) -> Tensor:
        """Normalise ``h`` (n, c, height, width); in ``train()`` mode running statistics are measured."""
        weight, bias = params[f"{name}_weight"], params[f"{name}_bias"]
        if self.normalisation == "running":
            mean, var = getattr(self, f"{name}_mean"), getattr(self, f"{name}_var")
            if self.training:
                return F.batch_norm(h, mean, var, weight, bias, training=True, momentum=self.momentum)
            # Fixed statistics make the norm one affine map, cheap to differentiate twice.
            scale = weight * (var + 1e-5).rsqrt()
            return h * scale[:, None, None] + (bias - mean * scale)[:, None, None]
        if self.normalisation == "group":
            # Composite on purpose, as below: exact under vmap and twice differentiable.
            n, c, height, width = h.shape
            grouped = h.reshape(n, math.gcd(c, 8), -1)
            var, mean = torch.var_mean(grouped, dim=-1, correction=0, keepdim=True)
            h = ((grouped - mean) * (var + 1e-5).rsqrt()).view(n, c, height, width)
        else:
            # Not F.batch_norm: under vmap its second-order gradients are silently wrong in torch 2.14.
            var, mean = torch.var_mean(h, dim=(0, 2, 3), correction=0, keepdim=True)
            h = (h - mean) * (var + 1e-5).rsqrt()
        return h * weight[:, None, None] + bias[:, None, None]


def modulate(h: Tensor, film: Film | None, block: int) -> Tensor:
    """Apply the FiLM pair of ``block`` to ``h`` (n, c, height, width) (Perez et al. 2018)."""
    if film is None:
        return h
    gamma, beta = film[block]
    return h * (1 + gamma)[:, None, None] + beta[:, None, None]
