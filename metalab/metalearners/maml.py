"""Model-agnostic meta-learning (Finn, Abbeel, Levine 2017, algorithm 2; first order: section 5.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from metalab.metalearners.base import MetaLearner, State, class_means, scalar, task_loss
from metalab.tasks import Examples


class InnerLoop(MetaLearner.Options):
    """Settings of a gradient-based inner loop."""

    inner_steps: int = Field(
        3, ge=1, le=1000, title="Inner steps", description="Gradient steps on the support set."
    )
    inner_lr: float = Field(
        0.003,
        gt=0,
        le=100,
        title="Inner rate",
        description="Step size of the inner loop; the shared start of the head wants more, about 0.05.",
    )
    head: Literal["prototypes", "shared"] = Field(
        "prototypes",
        title="Start of the head",
        description="prototypes: from each class's mean feature; shared: from one learnt vector.",
    )


class MAML(MetaLearner):
    """Learns an initialisation from which a few gradient steps on the support set fit a new task.

    One meta-learner serves any way, and the order of the classes cannot matter, since every class's row of
    the head starts alike: from the class's prototype (Proto-MAML, Triantafillou et al. 2020, section 3.2),
    or from one learnt vector shared by all classes (UNICORN-MAML, Ye and Chao 2022). Regression takes the
    shared start.
    """

    class Options(InnerLoop):
        """Inner-loop settings."""

        first_order: bool = Field(
            False, title="First order", description="Leave out second derivatives: faster, approximate."
        )

    name, label, order = "maml", "MAML", 20
    summary = (
        "Learns a starting point from which a few gradient steps fit a new task. Slower; changes all weights."
    )

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        if options.head == "prototypes":
            self.log_temperature = scalar(0.0)
        else:
            self.head_weight = nn.Parameter(torch.zeros(backbone.feature_dim))
            self.head_bias = scalar(0.0)

    def adapt(self, support: Examples, way: int) -> State:
        """Return the parameters after the last step: backbone's by name, ``head.weight``, ``head.bias``."""
        start = state = self._start(support, way)
        for step in range(self.options.inner_steps):
            state = self._step(state, start, support, step)
        return state

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the parameters before the first and after each inner step."""
        states = [self._start(support, way)]
        for step in range(self.options.inner_steps):
            states.append(self._step(states[-1], states[0], support, step))
        return {f"step {i}": state for i, state in enumerate(states)}

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return features (n, d) under the adapted backbone."""
        return self.backbone.extract(state, x)

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return the adapted linear head's logits (n, way)."""
        return F.linear(features, state["head.weight"], state["head.bias"])

    def adapts(self, name: str) -> bool:
        """Return whether the inner loop changes parameter ``name`` of the state."""
        return True

    def rate(self, name: str, step: int) -> float | Tensor:
        """Return the size of inner step ``step`` for parameter ``name``, broadcastable to it."""
        return self.options.inner_lr

    def second_order(self) -> float | Tensor:
        """Return the share of the second derivatives in the outer gradient, 0 to 1."""
        return 0.0 if self.options.first_order else 1.0

    def _start(self, support: Examples, way: int) -> State:
        features = self.backbone(support.x) if self.options.head == "prototypes" else None
        return {**self.backbone.params(), **self._head(features, support, way)}

    def _head(self, features: Tensor | None, support: Examples, way: int) -> State:
        """Return the head (way, d) and its bias (way,) before the first step."""
        if self.options.head == "shared":
            weight, bias = self.head_weight.expand(way, -1), self.head_bias.expand(way)
        else:
            # Minus the scaled squared distance to the prototype, up to a term common to all classes.
            prototypes = class_means(features, support, way)
            scale = self.log_temperature.exp() / prototypes.shape[1]
            weight, bias = 2 * scale * prototypes, -scale * prototypes.square().sum(1)
        return {"head.weight": weight, "head.bias": bias}

    def _support_loss(self, support: Examples) -> Callable[[State], Tensor]:
        return lambda state: task_loss(self.predict(state, support.x), support)

    def _step(self, state: State, start: State, support: Examples, step: int) -> State:
        """Return ``state`` after one inner step; ``start`` is the state before the first one."""
        return self._descend(state, self._support_loss(support), step)

    def _descend(self, state: State, loss: Callable[[State], Tensor], step: int) -> State:
        """One gradient step on ``loss`` (equation 1)."""
        moving = {name: value for name, value in state.items() if self.adapts(name)}
        gradients = torch.func.grad(lambda moving: loss({**state, **moving}))(moving)
        share = self.second_order()
        if not isinstance(share, float):
            gradients = {name: share * g + (1 - share) * g.detach() for name, g in gradients.items()}
        elif share == 0:
            gradients = {name: g.detach() for name, g in gradients.items()}
        moved = {name: value - self.rate(name, step) * gradients[name] for name, value in moving.items()}
        return {**state, **moved}
