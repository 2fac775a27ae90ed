"""What every backbone shares: pure extraction, normalisation, FiLM, standardised inputs."""

from __future__ import annotations

import copy
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from metalab.backbones.operations import Moments, moments

Normalisation = Literal["running", "group", "batch"]
Params = Mapping[str, Tensor]
Film = Sequence[tuple[Tensor, Tensor]]
"""Per block a pair (gamma, beta), each (channels of the block,): features become (1 + gamma) * h + beta."""
EPSILON = 1e-5
"""Added to every variance, as the library's norms do."""


_INITIALISING = threading.RLock()


@contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Let modules made inside draw their initial weights from ``seed``; the global generator is as before.

    Torch's layers draw from that one generator alone, so threads take turns.
    """
    with _INITIALISING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def is_frozen(name: str) -> bool:
    """Return whether the tensor ``name`` of a module is one of a ready network that never changes."""
    return name.rpartition(".")[2].startswith("frozen_")


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
        """Return a newly initialised backbone of the same shape: input statistics and what is frozen stay."""
        with seeded_initialisation(seed):
            new = type(self)(**self.shape())
        new.input_mean.copy_(self.input_mean)
        new.input_std.copy_(self.input_std)
        new.load_state_dict(self.frozen_weights(), strict=False)
        return new.to(self.input_mean.device)

    def shape(self) -> dict[str, Any]:
        """Return the JSON-able arguments that make a backbone of the same shape."""
        return {name: getattr(self, name) for name in ("channels", "size", "width", "normalisation")}

    def from_scratch(self, seed: int) -> Backbone:
        """Return a newly initialised network for the baseline that learns from the support set alone."""
        return self.fresh(seed)

    def frozen_weights(self) -> dict[str, Tensor]:
        """Return the tensors that never change and that a package holds, by name; usually none."""
        return {name: tensor for name, tensor in self.named_buffers() if is_frozen(name)}

    def restore_frozen(self) -> Backbone:
        """Load the tensors of :meth:`frozen_weights` from their package; usually nothing."""
        return self

    def pictures(self, x: Tensor) -> Tensor:
        """Return what a person can look at (n, channels, height, width) of examples ``x``."""
        return x

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
        count = h.numel() // h.shape[1]
        statistics = self._statistics(name, lambda: moments(h, self._per_image), count)
        scale, shift = self._affine(params, name, statistics)
        return h * scale[..., None, None] + shift[..., None, None]

    @property
    def _per_image(self) -> bool:
        """Whether each image is normalised by its own statistics."""
        return self.normalisation == "group"

    def _statistics(self, name: str, measure: Callable[[], Moments], count: int) -> Moments:
        """Return the mean and variance by which the norm ``name`` normalises, (c,), by group (n, c).

        ``measure`` gives the moments of the norm's input, of ``count`` values a channel, and is called only
        if they matter; in ``train()`` mode the running statistics follow them.
        """
        if self.normalisation == "running" and not self.training:
            return getattr(self, f"{name}_mean"), getattr(self, f"{name}_var")
        mean, var = measure()
        if self.normalisation == "running":
            getattr(self, f"{name}_mean").lerp_(mean.detach(), self.momentum)
            getattr(self, f"{name}_var").lerp_(var.detach() * (count / (count - 1)), self.momentum)
        elif self.normalisation == "group":
            groups = mean.unflatten(-1, (math.gcd(mean.shape[-1], 8), -1))
            centre = groups.mean(-1, keepdim=True)
            spread = (var.reshape(groups.shape) + (groups - centre).square()).mean(-1, keepdim=True)
            mean, var = (part.expand_as(groups).flatten(-2) for part in (centre, spread))
        return mean, var

    def _affine(
        self, params: Params, name: str, statistics: Moments, film: Film | None = None, block: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Return (scale, shift), shaped as the statistics: norm, then FiLM, is ``h * scale + shift``."""
        weight, bias = params[f"{name}_weight"], params[f"{name}_bias"]
        if film is not None:
            gamma, beta = film[block]
            weight, bias = weight * (1 + gamma), bias * (1 + gamma) + beta
        mean, var = statistics
        scale = weight * (var + EPSILON).rsqrt()
        return scale, bias - mean * scale


def modulate(h: Tensor, film: Film | None, block: int) -> Tensor:
    """Apply the FiLM pair of ``block`` to ``h`` (n, c, height, width) (Perez et al. 2018)."""
    if film is None:
        return h
    gamma, beta = film[block]
    return h * (1 + gamma)[:, None, None] + beta[:, None, None]
