"""Chooser among drafts of a summary: titles, sentences, templates in the examples' style, a writer's."""

from __future__ import annotations

from torch import Tensor

from metalab.candidates import Candidates
from metalab.drafting import Drafter
from metalab.metalearners.base import State
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

    def candidates(self, state: State, x: Tensor, y: Tensor | None = None) -> Candidates:
        """Return the drafts of texts ``x``; gains are ROUGE-L."""
        return self.drafter.candidates(Examples(state["pairs.x"], state["pairs.y"]), x, y, False)

    def learnt(self, support: Examples) -> tuple[State, Candidates]:
        """Return the examples, and their drafts."""
        return self.prepared(support), self.drafter.candidates(support, support.x, support.y, True)
