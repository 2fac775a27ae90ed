"""Gradient steps on the example pairs: MAML (Finn et al. 2017, algorithm 2) as Gu et al. 2018 use it for new
languages, and CAVIA (Zintgraf et al. 2019, equation 5), which moves the small code alone."""

from __future__ import annotations

import torch
from pydantic import Field

from metalab.metalearners.base import State, scalar
from metalab.metalearners.writers import Writing
from metalab.tasks import Examples


class InnerWriter(Writing):
    """Learns a start, and a rate for the code and one for all weights, from which few steps fit a task."""

    class Options(Writing.Options):
        """Settings of the inner loop."""

        inner_steps: int = Field(
            3, ge=1, le=1000, title="Inner steps", description="Gradient steps on the examples."
        )
        inner_lr: float = Field(
            0.05, gt=0, le=1000, title="Inner rate", description="First size of a step; it is learnt."
        )
        first_order: bool = Field(
            True, title="First order", description="Leave out second derivatives: faster, approximate."
        )

    code_alone = False
    """Whether only the code moves."""

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        start = torch.tensor(options.inner_lr).log()
        self.log_code_rate = scalar(start + 2.0)  # a code is small: its steps are longer
        self.log_rate = scalar(start)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``code`` and, unless it moves alone, the backbone's parameters after the last step."""
        return list(self.path(support, way).values())[-1]

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the states before the first and after each inner step."""
        states = [{"code": self.no_code()}]
        if not self.code_alone:
            moving = {name: value for name, value in self.backbone.params().items() if name != "codes"}
            states[0] = {**states[0], **moving}
        for _ in range(self.options.inner_steps):
            states.append(self._step(states[-1], support))
        return {f"step {i}": state for i, state in enumerate(states)}

    def _step(self, state: State, support: Examples) -> State:
        gradients = torch.func.grad(lambda moving: self.support_loss(moving, support))(state)
        if self.options.first_order:
            gradients = {name: gradient.detach() for name, gradient in gradients.items()}
        rates = {name: self.log_code_rate.exp() if name == "code" else self.log_rate.exp() for name in state}
        return {name: value - rates[name] * gradients[name] for name, value in state.items()}


class TranslationMAML(InnerWriter):
    """For translation."""

    application, name, label, order = "translation", "translate-maml", "MAML (meta-NMT)", 20
    summary = "Learns a start from which a few gradient steps on all weights fit a new language."


class TranslationCAVIA(InnerWriter):
    """For translation."""

    code_alone = True
    application, name, label, order = "translation", "translate-cavia", "CAVIA", 21
    summary = "A few gradient steps on the small code of the language alone."


class SummaryMAML(InnerWriter):
    """For summarisation."""

    application, name, label, order = "summarisation", "summarise-maml", "MAML", 20
    summary = "Learns a start from which a few gradient steps on all weights fit a new style."


class SummaryCAVIA(InnerWriter):
    """For summarisation."""

    code_alone = True
    application, name, label, order = "summarisation", "summarise-cavia", "CAVIA", 21
    summary = "A few gradient steps on the small code of the style alone."
