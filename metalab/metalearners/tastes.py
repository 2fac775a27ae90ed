"""Set encoder: reads the events and emits the head, as neural processes do (TaNP, Lin et al. 2021, section 3).

A network encodes each event with its surprise (the outcome less what the prior expects); the mean of the codes
and the number of events become a change of the head, and of the features by FiLM.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from metalab.metalearners.base import State
from metalab.metalearners.recommending import ADVERTS, PRODUCTS, Recommending
from metalab.tasks import Examples


class SetEncoder(Recommending):
    """The neural meta-learner: one forward pass over the support set adapts, with no gradient."""

    class Options(Recommending.Options):
        """Size of the network."""

        hidden: int = Field(128, ge=8, le=2048, title="Hidden units", description="Width of the set encoder.")

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        d, hidden = backbone.feature_dim + 1, options.hidden
        self.mean = nn.Parameter(backbone.prior_mean.clone())
        self.encoder = nn.Sequential(nn.Linear(2 * d + 1, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.emitter = nn.Sequential(nn.Linear(hidden + 1, hidden), nn.ReLU())
        self.head = nn.Linear(hidden, d)
        self.film = nn.Linear(hidden, 2 * backbone.film_channels[0])
        self.shrink = nn.Parameter(torch.tensor(2.0))
        for layer in (self.head, self.film):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def prior(self) -> State:
        """Return the state without any event."""
        none = self.film.bias.new_zeros(self.backbone.film_channels[0])
        return {"head": self.mean, "film.gamma": none, "film.beta": none}

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``head`` (d,), ``film.gamma`` and ``film.beta``."""
        rows = self.backbone.with_one(self.backbone(support.x))
        expected = self.backbone.offset + rows @ self.mean
        if self.backbone.clicks:
            expected = expected.sigmoid()
        surprise = (support.y[:, 0] - expected).unsqueeze(-1)
        coded = self.encoder(torch.cat([rows, rows * surprise, surprise], -1))
        weights = support.weights().unsqueeze(-1)
        count = weights.sum()
        mean = (coded * weights).sum(0) / (count + F.softplus(self.shrink))
        read = self.emitter(torch.cat([mean, (1 + count).log().reshape(1)]))
        gamma, beta = self.film(read).chunk(2)
        return {"head": self.mean + self.head(read), "film.gamma": gamma, "film.beta": beta}

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the prior, then the adapted state."""
        return {"prior": self.prior(), "adapted": self.adapt(support, way)}

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return features (n, width) under the emitted FiLM."""
        film = [(state["film.gamma"], state["film.beta"])] if "film.gamma" in state else None
        return self.backbone.extract(self.backbone.params(), x, film)


class RatingSet(SetEncoder):
    """For ratings."""

    application, name, label, order = PRODUCTS, "set-taste", "Set encoder (TaNP)", 31
    summary = "A network reads the ratings and emits the user's taste, and retunes the features."


class ClickSet(SetEncoder):
    """For clicks."""

    application, name, label, order = ADVERTS, "set-clicks", "Set encoder (TaNP)", 31
    summary = "A network reads the first impressions and emits how the campaign works, and retunes the features."
