"""Set encoder: a network reads the events and corrects the exact posterior, and the features (as TaNP, Lin et
al. 2021, section 3, a neural process that retunes its decoder).

It encodes each event with its surprise, before and after the exact posterior; the mean of the codes and the
number of events become a change of the head, and of the features by FiLM. Where the population of tasks is
Gaussian there is nothing to correct; ratings that are bounded, chosen and rounded are not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from metalab.metalearners.base import State
from metalab.metalearners.posterior import ClickPosterior, Posterior, RatingPosterior
from metalab.metalearners.recommending import ADVERTS, PRODUCTS
from metalab.tasks import Examples


class SetEncoder(Posterior):
    """The neural meta-learner: one forward pass over the support set adapts, with no gradient."""

    class Options(Posterior.Options):
        """Size of the network, and what it starts from."""

        train_features: bool = Field(
            True,
            title="Train the features",
            description="Meta-train the encoder too; else the network, what heads are like and the noise.",
        )
        hidden: int = Field(128, ge=8, le=2048, title="Hidden units", description="Width of the set encoder.")
        exact: bool = Field(
            True,
            title="From the posterior",
            description="Correct the exact posterior; else the network does all by itself, as TaNP.",
        )

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        d, hidden = backbone.feature_dim + 1, options.hidden
        self.encoder = nn.Sequential(nn.Linear(3 * d + 2, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.emitter = nn.Sequential(nn.Linear(hidden + 1, hidden), nn.ReLU())
        self.correction = nn.Linear(hidden, d)
        self.film = nn.Linear(hidden, 2 * backbone.film_channels[0])
        self.shrink = nn.Parameter(torch.tensor(2.0))
        for layer in (self.correction, self.film):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def prior(self) -> State:
        """Return the state without any event."""
        none = self.film.bias.new_zeros(self.backbone.film_channels[0])
        return {**super().prior(), "film.gamma": none, "film.beta": none}

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``head`` (d,), ``root`` (d, d), ``film.gamma`` and ``film.beta``."""
        state = super().adapt(support, way) if self.options.exact else super().prior()
        rows = self.backbone.with_one(self.backbone(support.x))
        before, after = (self._surprise(rows, head, support) for head in (self.mean, state["head"]))
        coded = self.encoder(torch.cat([rows, rows * before, rows * after, before, after], -1))
        weights = support.weights().unsqueeze(-1)
        count = weights.sum()
        mean = (coded * weights).sum(0) / (count + F.softplus(self.shrink))
        read = self.emitter(torch.cat([mean, (1 + count).log().reshape(1)]))
        gamma, beta = self.film(read).chunk(2)
        return {
            "head": state["head"] + self.correction(read),
            "root": state["root"],
            "film.gamma": gamma,
            "film.beta": beta,
        }

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return features (n, width) under the emitted FiLM."""
        film = [(state["film.gamma"], state["film.beta"])] if "film.gamma" in state else None
        return self.backbone.extract(self.backbone.params(), x, film)

    def _surprise(self, rows: Tensor, head: Tensor, support: Examples) -> Tensor:
        """Return outcomes less what ``head`` expects (n, 1)."""
        expected = self.backbone.offset + self.backbone.known_mean(support.x) + rows @ head
        return support.y - (expected.sigmoid() if self.backbone.clicks else expected).unsqueeze(-1)


class RatingSet(SetEncoder, RatingPosterior):
    """For ratings."""

    application, name, label, order = PRODUCTS, "set-taste", "Set encoder on the posterior", 31
    summary = (
        "A network reads the ratings, corrects the exact posterior of the taste, and retunes the features."
    )


class ClickSet(SetEncoder, ClickPosterior):
    """For clicks."""

    class Options(SetEncoder.Options, ClickPosterior.Options):
        """Those of both."""

    application, name, label, order = ADVERTS, "set-clicks", "Set encoder on the posterior", 31
    summary = "A network reads the first impressions, corrects the posterior, and retunes the features."
