"""Two towers for events: one encodes what a task meets, the task's head is the other.

The encoder adds a learnt code for each entity that meta-train met (as matrix factorisation has) and a small
network over its features, so that an entity which nobody met is still described (MeLU, Lee et al. 2019).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.base import Backbone, Film, Normalisation, Params, seeded_initialisation
from metalab.data.event_source import EventSource

SHRINK = 5.0
"""Events that an entity's mean is shrunk to 0 by."""


class Entities(Backbone):
    """Events (n, 1 + features): the entity's number, 0 for an unknown one, and its numbers → (n, width).

    A head (width + 1,) is a task's taste: its outcome is ``offset`` + :meth:`known_mean` + head ·
    (features, 1). Pre-training
    also leaves what heads of meta-train tasks are like: ``prior_mean`` and ``prior_root`` (a square root of
    their covariance), and ``noise``, the variance that no head explains. ``met`` (entities + 1,) counts the
    events of each entity in meta-train, ``average`` their mean outcome less ``offset``, shrunk to 0.
    """

    clicks = False
    """Whether outcomes are clicks, whose logit is predicted."""
    penalties = (2e-3, 1.0, 0.0)
    """Pre-training's, of squared features, heads and codes: Gaussian priors on them."""

    def __init__(
        self,
        channels: int = 1,
        size: int = 1,
        width: int = 32,
        normalisation: Normalisation = "running",
        entities: int = 0,
        catalogue: str = "",
    ) -> None:
        super().__init__(channels, size, width, normalisation)
        self.entities, self.catalogue = entities, catalogue
        self.codes = nn.Parameter(0.1 * torch.randn(entities + 1, width))
        hidden = nn.Linear(max(1, size - 1), 2 * width)
        out = nn.Linear(2 * width, width)
        self.weight0, self.bias0 = hidden.weight, hidden.bias
        self.weight1, self.bias1 = nn.Parameter(0.5 * out.weight.detach()), out.bias
        self.film_channels, self.feature_dim = (2 * width,), width
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("noise", torch.ones(()))
        self.register_buffer("prior_mean", torch.zeros(width + 1))
        self.register_buffer("prior_root", 0.1 * torch.eye(width + 1))
        self.register_buffer("met", torch.zeros(entities + 1))
        self.register_buffer("average", torch.zeros(entities + 1))

    def shape(self) -> dict[str, Any]:
        """Return the arguments that make a backbone of the same shape."""
        return {**super().shape(), "entities": self.entities, "catalogue": self.catalogue}

    def fit_to(self, source: EventSource, seed: int) -> None:
        """Become a new encoder of the entities and features of ``source``, in place."""
        with seeded_initialisation(seed):
            shape = {"size": source.size, "entities": source.n_entities, "catalogue": source.name}
            fresh = type(self)(**{**self.shape(), **shape}).to(self.input_mean.device)
        self.__dict__.update(fresh.__dict__)

    @property
    def transductive(self) -> bool:
        """Never."""
        return False

    def extract(self, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
        """Return features (..., width) of events ``x`` (..., 1 + features)."""
        number, described = x[..., 0].long(), x[..., 1:]
        if self.size == 1:
            described = x.new_zeros((*x.shape[:-1], 1))
        hidden = F.relu(F.linear(described, params["weight0"], params["bias0"]))
        if film is not None:
            gamma, beta = film[0]
            hidden = hidden * (1 + gamma) + beta
        known = (number > 0).to(x.dtype).unsqueeze(-1)
        return F.linear(hidden, params["weight1"], params["bias1"]) + params["codes"][number] * known

    def known_mean(self, x: Tensor) -> Tensor:
        """Return what is known of the entities of ``x`` (n, 1 + features) besides their features (n,): the
        shrunk mean of a product's ratings less ``offset``, 0 for an unknown one, and for clicks."""
        if self.clicks:
            return x.new_zeros(x.shape[:-1])
        return self.average[x[..., 0].long()]

    def with_one(self, features: Tensor) -> Tensor:
        """Return features (..., width + 1) with the 1 that a head's bias meets."""
        return torch.cat([features, torch.ones_like(features[..., :1])], -1)

    def statistics(self, source: EventSource) -> None:
        """Measure ``offset``, ``met`` and ``average`` in meta-train."""
        rows = source.train_rows()
        number = torch.from_numpy(source.known[source.events.entity[rows]])
        outcome = torch.from_numpy(source.events.outcome[rows])
        mean = outcome.mean().clamp(1e-4, 1 - 1e-4).logit() if self.clicks else outcome.mean()
        counts = torch.bincount(number, minlength=self.entities + 1).float()
        sums = torch.bincount(number, outcome - outcome.mean(), minlength=self.entities + 1).float()
        for name, value in {
            "offset": mean,
            "met": counts,
            "average": sums / (counts + SHRINK),
        }.items():
            getattr(self, name).copy_(value)


class Products(Entities):
    """For ratings of products."""


class Adverts(Entities):
    """For clicks on advertisements: what a campaign meets is a viewer in a context."""

    clicks = True
    penalties = (1e-3, 3e-3, 1.0)
