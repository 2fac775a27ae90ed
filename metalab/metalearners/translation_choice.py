"""Chooser among renderings of a text: of a writer tuned to the language, its neighbours, and the examples."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from metalab.backbones.writer import CODE
from metalab.candidates import Candidates
from metalab.metalearners.base import State
from metalab.metalearners.choosing import Choosing
from metalab.rendering import rendered
from metalab.renderings import NAMES
from metalab.tasks import Examples
from metalab.tuning import fitted, nearest_codes

JUDGED = 10
"""Examples, at most, by whose renderings the chooser is told what suits the language."""


class TranslationChooser(Choosing):
    """Tunes the writer to the language by a few gradient steps, and learns which rendering to trust.

    What suits the language is read from half of the examples, rendered by a writer tuned to the other half.
    """

    application, name, label, order = "translation", "translate-choose", "Tuned writer and chooser", 30
    summary = "A few gradient steps tune the writer; a network that reads the examples picks the translation."
    columns = len(NAMES)

    class Options(Choosing.Options):
        """How the writer is tuned."""

        tuning_steps: int = Field(
            10, ge=0, le=1000, title="Tuning steps", description="Gradient steps on the examples."
        )
        tuning_lr: float = Field(1e-3, gt=0, le=1, title="Tuning rate", description="Adam's learning rate.")

    def prepared(self, support: Examples) -> State:
        """Return the tuned writer, and ``near.codes`` (k, CODE), ``near.mean`` (CODE,)."""
        kept = {"pairs.x": support.x, "pairs.y": support.y}
        if not len(support.x):
            none = self.no_code()
            return {**kept, "code": none, "near.codes": none.new_zeros(0, CODE), "near.mean": none}
        groups, shares = nearest_codes(self.backbone, support)
        codes = self.backbone.params()["codes"].detach()[groups]
        mean = shares @ codes
        options = self.options
        moved = fitted(self.backbone, support, mean, options.tuning_steps, options.tuning_lr)
        return {**kept, **moved, "near.codes": codes, "near.mean": mean}

    def candidates(self, state: State, x: Tensor, y: Tensor | None = None) -> Candidates:
        """Return the renderings of texts ``x``; gains are chrF."""
        return rendered(self.backbone, state, Examples(state["pairs.x"], state["pairs.y"]), x, y)

    def told(self, support: Examples) -> Candidates:
        """Return renderings of some of the second half of the examples, learnt from the first."""
        half = max(1, len(support.x) // 2) if len(support.x) > 1 else 0
        first = Examples(support.x[:half], support.y[:half])
        rest = slice(half, half + JUDGED)
        return self.candidates(self.prepared(first), support.x[rest], support.y[rest])
