"""Chooser among drafts of a summary: titles, sentences, templates in the examples' style, a writer's."""

from __future__ import annotations

from torch import Tensor

from metalab.drafting import Candidates, Drafter
from metalab.metalearners.choosing import Choosing
from metalab.tasks import Examples


class SummaryChooser(Choosing):
    """Learns from the examples which drafts the style wants."""

    application, name, label, order = "summarisation", "summarise-choose", "Chooser of drafts", 30
    summary = "A network reads how good the drafts of the examples are, and chooses among drafts of a text."
    columns = Drafter.columns

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.drafter = Drafter(backbone)

    def candidates(self, support: Examples, x: Tensor, y: Tensor | None, each_without: bool) -> Candidates:
        """Return the drafts of ``x``; gains are ROUGE-L."""
        return self.drafter.candidates(support, x, y, each_without)
