"""First-order MAML (Finn, Abbeel, Levine 2017, section 5.2): MAML without second derivatives."""

from __future__ import annotations

from metalab.metalearners.maml import MAML, InnerLoop


class FOMAML(MAML):
    """As MAML, but the outer gradient takes the inner gradients for constants: cheaper, approximate."""

    Options = InnerLoop

    name, label, order = "fomaml", "First-order MAML", 21
    summary = "MAML at two thirds of the cost, by an approximation that rarely hurts."

    def second_order(self) -> float:
        """Return 0: no second derivatives."""
        return 0.0
