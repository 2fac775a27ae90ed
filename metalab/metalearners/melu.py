"""Gradient steps on a task's events: MeLU (Lee et al. 2019, algorithm 1: MAML whose inner loop leaves the
entities' codes alone), ANIL (Raghu et al. 2020) and Meta-SGD (Li et al. 2017) for ratings and for clicks."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from metalab.metalearners.base import State, scalar
from metalab.metalearners.recommending import ADVERTS, PRODUCTS, Recommending
from metalab.tasks import Examples


class MeLU(Recommending):
    """Learns a head and decision layers from which a few gradient steps fit a task; the steps' size too."""

    class Options(Recommending.Options):
        """Inner-loop settings."""

        inner_steps: int = Field(
            5, ge=1, le=1000, title="Inner steps", description="Gradient steps on the support set."
        )
        inner_lr: float = Field(
            0.01, gt=0, le=100, title="Inner rate", description="First size of a step; it is learnt."
        )

    layers: tuple[str, ...] = ("weight1", "bias1")
    """Of the encoder, those that the inner loop changes, besides the head."""
    each_weight = False
    """Whether every weight has a step size of its own."""

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.mean = nn.Parameter(backbone.prior_mean.clone())
        start = {"head": self.mean, **{name: backbone.params()[name] for name in self.layers}}
        rate = torch.tensor(options.inner_lr).log().item()
        self.log_rates = nn.ParameterDict(
            {
                name: nn.Parameter(torch.full_like(value, rate)) if self.each_weight else scalar(rate)
                for name, value in start.items()
            }
        )

    def prior(self) -> State:
        """Return the state before the first step."""
        params = self.backbone.params()
        return {"head": self.mean, **{name: params[name] for name in self.layers}}

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``head`` and the layers that moved, after the last step."""
        return list(self.path(support, way).values())[-1]

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the states before the first and after each inner step."""
        states = [self.prior()]
        for _ in range(self.options.inner_steps):
            gradients = torch.func.grad(lambda moving: self.loss(self.predict(moving, support.x), support))(
                states[-1]
            )
            states.append(
                {
                    name: value - self.log_rates[name].exp() * gradients[name]
                    for name, value in states[-1].items()
                }
            )
        return {f"step {i}": state for i, state in enumerate(states)}

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return features (n, width) under the adapted layers."""
        moved = {name: state[name] for name in self.layers if name in state}
        return self.backbone.extract({**self.backbone.params(), **moved}, x)


class RatingMeLU(MeLU):
    """For ratings."""

    application, name, label, order = PRODUCTS, "melu", "MeLU (MAML)", 20
    summary = "A starting point from which a few gradient steps on the ratings fit a user."


class RatingANIL(MeLU):
    """For ratings, the head alone."""

    layers = ()
    application, name, label, order = PRODUCTS, "anil-taste", "ANIL", 22
    summary = "As MeLU, but only the head moves."


class RatingMetaSGD(MeLU):
    """For ratings, with a step size for every weight."""

    each_weight = True
    application, name, label, order = PRODUCTS, "metasgd-taste", "Meta-SGD", 24
    summary = "As MeLU, and learns how far each weight should move."


class ClickMAML(MeLU):
    """For clicks: their gradients are small, and steps longer."""

    class Options(MeLU.Options):
        """Inner-loop settings."""

        inner_lr: float = Field(
            0.3, gt=0, le=100, title="Inner rate", description="First size of a step; it is learnt."
        )

    application, name, label, order = ADVERTS, "maml-clicks", "MAML", 20
    summary = "A starting point from which a few gradient steps on the first impressions fit a campaign."


class ClickANIL(ClickMAML):
    """For clicks, the head alone."""

    layers = ()
    application, name, label, order = ADVERTS, "anil-clicks", "ANIL", 22
    summary = "As MAML, but only the head moves."


class ClickMetaSGD(ClickMAML):
    """For clicks, with a step size for every weight."""

    each_weight = True
    application, name, label, order = ADVERTS, "metasgd-clicks", "Meta-SGD", 24
    summary = "As MAML, and learns how far each weight should move."
