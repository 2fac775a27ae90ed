"""ANIL, almost no inner loop: the inner loop adapts the head alone (Raghu et al. 2020, section 4)."""

from __future__ import annotations

from torch import Tensor

from metalab.metalearners.base import State, task_loss
from metalab.metalearners.maml import MAML
from metalab.tasks import Examples


class ANIL(MAML):
    """As MAML, but the features are those of the meta-trained backbone: they are computed only once."""

    name, label, order = "anil", "ANIL", 22
    summary = "MAML that adapts only the last layer: nearly as good, several times faster."

    def adapts(self, name: str) -> bool:
        """Adapt the head alone."""
        return name.startswith("head.")

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``head.weight`` and ``head.bias`` after the last step."""
        return list(self.path(support, way).values())[-1]

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the heads before the first and after each inner step."""
        features = self.backbone(support.x)
        states = [self._head(features, support, way)]
        for step in range(self.options.inner_steps):

            def loss(state: State) -> Tensor:
                return task_loss(self.classify(state, features), support)

            states.append(self._descend(states[-1], loss, step))
        return {f"step {i}": state for i, state in enumerate(states)}

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return features (n, d) of the meta-trained backbone."""
        return self.backbone(x)
