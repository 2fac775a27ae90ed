"""Code hypernetwork: reads the example pairs, emits the code that retunes the writer, and copies from them.

The summary of a set is that of neural processes (Garnelo et al. 2018, section 2.2); the code takes the place
of the language codes of multilingual translation, so a new language is one forward pass away.
"""

from __future__ import annotations

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from metalab.backbones.writer import CODE
from metalab.metalearners.base import State, mean_and_deviation
from metalab.metalearners.writers import Writing
from metalab.tasks import Examples


class Code(Writing):
    """One forward pass adapts: no gradients at task time."""

    class Options(Writing.Options):
        """Size of the hypernetwork, and what it may use."""

        model_config = ConfigDict(extra="forbid", frozen=True)
        hidden: int = Field(
            128, ge=8, le=2048, title="Hidden units", description="Width of the hypernetwork."
        )
        copies: bool = Field(
            True, title="Copies from examples", description="Words may be copied from the examples' texts."
        )

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        d, hidden = backbone.feature_dim, options.hidden
        self.encoder = nn.Sequential(
            nn.LayerNorm(2 * d), nn.Linear(2 * d, hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )
        self.generator = nn.Sequential(
            nn.LayerNorm(2 * hidden), nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, CODE)
        )
        nn.init.zeros_(self.generator[-1].weight)
        nn.init.zeros_(self.generator[-1].bias)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``code`` (CODE,) and, if examples are copied from, ``memory.*``."""
        state = {"code": self._code(support)}
        return {**state, **self.examples_memory(support)} if self.options.copies else state

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the writer without a code, then adapted."""
        return {"without a code": {"code": self.no_code()}, "adapted": self.adapt(support, way)}

    def _code(self, support: Examples) -> Tensor:
        params = self.backbone.params()
        pairs = torch.cat(
            [self.backbone.extract(params, support.x), self.backbone.extract(params, support.y)], 1
        )
        weights = pairs.new_ones(len(pairs)) if support.mask is None else support.mask.to(pairs)
        return self.generator(mean_and_deviation(self.encoder(pairs), weights))


class TranslationCode(Code):
    """For translation."""

    application, name, label, order = "translation", "translate-code", "Code hypernetwork", 31
    summary = "A network reads the example translations and retunes the writer; words are copied from them."


class SummaryCode(Code):
    """For summarisation."""

    application, name, label, order = "summarisation", "summarise-code", "Code hypernetwork", 31
    summary = "A network reads the example summaries and retunes the writer; words are copied from them."
