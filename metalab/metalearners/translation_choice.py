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

JUDGED = 8
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
            8, ge=0, le=1000, title="Tuning steps", description="Gradient steps on the examples."
        )
        tuning_lr: float = Field(1e-3, gt=0, le=1, title="Tuning rate", description="Adam's learning rate.")

    def prepared(self, support: Examples) -> State:
        """Return the tuned writer, and ``near.codes`` (k, CODE), ``near.mean`` (CODE,)."""
        if len(support.x):
            return self._tuned(support, *self._near(support))
        none = self.no_code()
        nothing = {"near.codes": none.new_zeros(0, CODE), "near.mean": none}
        return {**super().prepared(support), **nothing}

    def candidates(self, state: State, x: Tensor, y: Tensor | None = None) -> Candidates:
        """Return the renderings of texts ``x``; gains are chrF."""
        return rendered(self.backbone, state, Examples(state["pairs.x"], state["pairs.y"]), x, y)

    def learnt(self, support: Examples) -> tuple[State, Candidates]:
        """Return the tuned writer, and renderings of some of the second half of the examples, made by one
        that was tuned to the first. The language is recognised by the first half alone."""
        half, known = (len(support.x) + 1) // 2, len(support.x)
        first = Examples(support.x[:half], support.y[:half])
        near = self._near(first)
        rest = slice(half, half + JUDGED) if known > 1 else slice(1)
        before = self._tuned(first, *near) if known > 1 else self._untuned(first, *near)
        return self._tuned(support, *near), self.candidates(before, support.x[rest], support.y[rest])

    def _untuned(self, support: Examples, codes: Tensor, mean: Tensor) -> State:
        """Return the state of a writer that has seen no example: one alone cannot be held back."""
        state = super().prepared(Examples(support.x[:0], support.y[:0]))
        return {**state, "code": mean, "near.codes": codes, "near.mean": mean}

    def _near(self, support: Examples) -> tuple[Tensor, Tensor]:
        groups, shares = nearest_codes(self.backbone, support)
        codes = self.backbone.params()["codes"].detach()[groups]
        return codes, shares @ codes

    def _tuned(self, support: Examples, codes: Tensor, mean: Tensor) -> State:
        options = self.options
        moved = fitted(self.backbone, support, mean, options.tuning_steps, options.tuning_lr)
        return {**super().prepared(support), **moved, "near.codes": codes, "near.mean": mean}
