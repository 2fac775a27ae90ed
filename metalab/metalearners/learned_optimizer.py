"""Learned optimiser: a recurrent network reads gradients and writes the steps of the inner loop.

Andrychowicz et al. 2016 (coordinate-wise LSTM, gradient preprocessing of appendix A) in the gated form of
Ravi and Larochelle 2017 (equation 2): θ ← f · θ - i · gradient, with f and i from the network.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from metalab.metalearners.base import State
from metalab.metalearners.maml import MAML, InnerLoop
from metalab.tasks import Examples

PREPROCESSING = 10.0
"""p of appendix A: gradients below exp(-p) are scaled up linearly, others enter as logarithm and sign."""


class LearnedOptimizer(MAML):
    """One small LSTM steers every weight of the backbone and the head on its own, sharing its parameters.

    It starts as plain gradient descent with the inner rate and learns, weight by weight and step by step,
    how far to go and how much to forget; the start of the weights is learnt with it. As in the papers the
    gradients count as constants in the outer gradient.
    """

    class Options(InnerLoop):
        """Inner loop and size of the network; the inner rate is where the learnt one starts."""

        hidden: int = Field(8, ge=1, le=256, title="Hidden units", description="Units of the LSTM.")

    name, label, order = "learned-optimizer", "Learned optimiser", 31
    summary = (
        "A recurrent network decides each weight's step from its gradients. A neural meta-learner; slow."
    )

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.recurrent = nn.Linear(3 + options.hidden, 4 * options.hidden)
        self.gates = nn.Linear(options.hidden, 2)
        nn.init.zeros_(self.gates.weight)
        with torch.no_grad():
            # sigmoid(0) = 1/2 of twice the inner rate; sigmoid(-8) = 0.0003 forgotten.
            self.gates.bias.copy_(torch.tensor([0.0, -8.0]))

    def adapt(self, support: Examples, way: int) -> State:
        """Return the parameters after the last step: backbone's by name, ``head.weight``, ``head.bias``."""
        return list(self.path(support, way).values())[-1]

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the parameters before the first and after each step of the network."""
        states = [self._start(support, way)]
        loss = self._support_loss(support)
        names = list(states[0])
        sizes = [states[0][name].numel() for name in names]
        values = _flat(states[0])
        hidden = values.new_zeros(values.shape[0], self.options.hidden)
        memory = torch.zeros_like(hidden)
        for _ in range(self.options.inner_steps):
            gradients, now = torch.func.grad_and_value(loss)(states[-1])
            flat = _flat(gradients).detach()
            inputs = torch.stack([*_preprocess(flat), now.detach().expand_as(flat)], dim=1)
            hidden, memory = self._lstm(inputs, hidden, memory)
            step, forget = torch.sigmoid(self.gates(hidden)).unbind(1)
            values = (1 - forget) * values - 2 * self.options.inner_lr * step * flat
            parts = zip(names, values.split(sizes), strict=True)
            states.append({name: part.view(states[0][name].shape) for name, part in parts})
        return {f"step {i}": state for i, state in enumerate(states)}

    def _lstm(self, inputs: Tensor, hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """One LSTM step for every weight (n, ·). Composite: the fused cell has no rule under vmap."""
        gates = F.linear(torch.cat([inputs, hidden], dim=1), self.recurrent.weight, self.recurrent.bias)
        write, keep, read, new = gates.chunk(4, dim=1)
        memory = torch.sigmoid(keep + 1) * memory + torch.sigmoid(write) * torch.tanh(new)
        return torch.sigmoid(read) * torch.tanh(memory), memory


def _flat(state: State) -> Tensor:
    return torch.cat([value.reshape(-1) for value in state.values()])


def _preprocess(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return magnitude and sign of each gradient on a scale of about -1..1 (appendix A)."""
    size = gradient.abs()
    large = size >= math.exp(-PREPROCESSING)
    magnitude = torch.where(large, size.clamp(min=1e-30).log() / PREPROCESSING, -1)
    return magnitude, torch.where(large, gradient.sign(), math.exp(PREPROCESSING) * gradient)
