"""BOIL, body only in the inner loop: the head stays where it started (Oh et al. 2021, section 3)."""

from __future__ import annotations

from metalab.metalearners.maml import MAML


class BOIL(MAML):
    """As MAML, but only the backbone is adapted: features move towards a head that keeps still."""

    name, label, order = "boil", "BOIL", 23
    summary = "MAML that adapts only the features, never the last layer."

    def adapts(self, name: str) -> bool:
        """Adapt the backbone alone."""
        return not name.startswith("head.")
