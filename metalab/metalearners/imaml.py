"""Implicit MAML (Rajeswaran, Finn, Kakade, Levine 2019, equations 3 and 6, algorithm 2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from metalab.metalearners.base import State, task_loss
from metalab.metalearners.cg import conjugate_gradient
from metalab.metalearners.fomaml import FOMAML
from metalab.metalearners.maml import InnerLoop
from metalab.tasks import Examples


class IMAML(FOMAML):
    """Adapts to the minimum of support loss + λ/2 · squared distance to the start, by gradient descent.

    The outer gradient at that minimum is (I + H/λ)⁻¹ times the query gradient, H the support loss's Hessian:
    solved by conjugate gradient with Hessian-vector products, so memory does not grow with the inner steps.
    """

    class Options(InnerLoop):
        """Inner-loop settings; many inner steps cost time, not memory."""

        inner_steps: int = Field(
            5, ge=1, le=1000, title="Inner steps", description="Gradient steps on the support set."
        )
        proximity: float = Field(
            2.0, gt=0, le=1e6, title="Proximity", description="Weight λ of staying near the start."
        )
        cg_steps: int = Field(
            5, ge=1, le=100, title="CG steps", description="Conjugate-gradient steps of the outer gradient."
        )

    name, label, order = "imaml", "iMAML", 27
    summary = "MAML whose memory does not grow with the number of inner steps."

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the query loss at the adapted parameters, whose gradient is the implicit one, and logits."""
        start = self._start(support, way)
        end = {name: value.detach() for name, value in self.adapt(support, way).items()}
        outputs = self.predict(end, query.x)

        def query_loss(state: State) -> Tensor:
            return task_loss(self.predict(state, query.x), query)

        implicit = self.solve(end, torch.func.grad(query_loss)(end), self._support_loss(support))
        through = sum((start[name] * value.detach()).sum() for name, value in implicit.items())
        return task_loss(outputs, query).detach() + through - through.detach(), outputs

    def solve(self, end: State, gradient: State, loss: Callable[[State], Tensor]) -> State:
        """Return (I + H/λ)⁻¹ ``gradient`` by conjugate gradient, H the Hessian of ``loss`` at ``end``."""

        def product(vector: State) -> State:
            _, pullback = torch.func.vjp(torch.func.grad(loss), end)
            curved = pullback(vector)[0]
            return {name: value + curved[name] / self.options.proximity for name, value in vector.items()}

        return conjugate_gradient(product, gradient, self.options.cg_steps)

    def _step(self, state: State, start: State, support: Examples, step: int) -> State:
        """One gradient step on the support loss with its pull to the start (equation 3)."""
        loss = self._support_loss(support)

        def pulled(moving: State) -> Tensor:
            distance = sum((moving[name] - start[name].detach()).square().sum() for name in moving)
            return loss(moving) + self.options.proximity / 2 * distance

        return self._descend(state, pulled, step)
