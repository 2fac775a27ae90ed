"""Model-agnostic meta-learning (Finn, Abbeel, Levine 2017, algorithm 2; first order: section 5.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from metalab.metalearners.base import MetaLearner, State, cross_entropy, scalar
from metalab.tasks import Examples


class MAML(MetaLearner):
    """Learns an initialisation from which a few gradient steps on the support set fit a new task.

    The head starts from one learnt vector shared by all classes (UNICORN-MAML, Ye and Chao 2022), so that
    one meta-learner serves any way, and the order of the classes cannot matter.
    """

    class Options(MetaLearner.Options):
        """Inner-loop settings."""

        model_config = ConfigDict(extra="forbid", frozen=True)
        inner_steps: int = Field(
            5, ge=1, le=100, title="Inner steps", description="Gradient steps on the support set."
        )
        inner_lr: float = Field(
            0.1, gt=0, le=100, title="Inner rate", description="Step size of the inner loop."
        )
        first_order: bool = Field(
            False, title="First order", description="Leave out second derivatives: faster, approximate."
        )

    name, label, order = "maml", "MAML", 20
    summary = (
        "Learns a starting point from which a few gradient steps fit a new task. Slower; changes all weights."
    )

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.head_weight = nn.Parameter(torch.zeros(backbone.feature_dim))
        self.head_bias = scalar(0.0)

    def adapt(self, support: Examples, way: int) -> State:
        """Return the parameters after the last step: backbone's by name, ``head.weight``, ``head.bias``."""
        state = self._start(way)
        for _ in range(self.options.inner_steps):
            state = self._step(state, support)
        return state

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the parameters before the first and after each inner step."""
        states = [self._start(way)]
        for _ in range(self.options.inner_steps):
            states.append(self._step(states[-1], support))
        return {f"step {i}": state for i, state in enumerate(states)}

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return features (n, d) under the adapted backbone."""
        return self.backbone.extract(state, x)

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return the adapted linear head's logits (n, way)."""
        return F.linear(features, state["head.weight"], state["head.bias"])

    def _start(self, way: int) -> State:
        head = {"head.weight": self.head_weight.expand(way, -1), "head.bias": self.head_bias.expand(way)}
        return {**self.backbone.params(), **head}

    def _step(self, state: State, support: Examples) -> State:
        """One gradient step on the support loss (equation 1)."""

        def loss(state: State) -> Tensor:
            return cross_entropy(self.predict(state, support.x), support)

        gradients = torch.func.grad(loss)(state)
        if self.options.first_order:
            gradients = {name: gradient.detach() for name, gradient in gradients.items()}
        return {name: value - self.options.inner_lr * gradients[name] for name, value in state.items()}
