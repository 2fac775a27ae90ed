"""What all meta-learners that write have in common: a code, changed parameters and examples to copy from."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from metalab.backbones.base import Film, Params
from metalab.backbones.writer import CODE, Memory
from metalab.data.subwords import CUT, PAD
from metalab.metalearners.base import MetaLearner, State
from metalab.tasks import Examples
from metalab.writing import likelihoods, write, writing_loss


class Writing(MetaLearner):
    """Adaptation yields any of ``code`` (CODE,), changed parameters of the backbone by name, and
    ``memory.features`` (1, m, d), ``memory.ids``, ``memory.seen`` (1, m), which is read beside every text.

    Predictions are texts (n, TARGET_LENGTH) int64; outputs in training are log probabilities (n, t).
    """

    cpu_strategy: ClassVar[tuple[str, str]] = ("threads", "threads")

    class Options(MetaLearner.Options):
        """How texts are searched for."""

        beams: int = Field(
            4, ge=1, le=32, title="Beams", description="Texts kept while searching for the best."
        )

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return the likeliest text (n, TARGET_LENGTH) for each of ``x`` (n, length)."""
        return self.search(state, x)[0][:, 0]

    def search(self, state: State, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the texts (n, beams, TARGET_LENGTH) found for ``x``, the best first, and their mean log
        probabilities (n, beams)."""
        params, film, memory = self.opened(state, x)
        return write(self.backbone, params, memory, film, beams=self.options.beams)

    def likelihoods(self, state: State, examples: Examples) -> Tensor:
        """Return the log probability (n, t) of each sub-word of ``examples.y``."""
        params, film, memory = self.opened(state, examples.x)
        return likelihoods(self.backbone, params, memory, examples.y, film)

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return the mean feature (n, d) of each text."""
        params, film = self.adjusted(state)
        return self.backbone.extract(params, x, film)

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the loss of the query texts, and the log probabilities (n, t) of their sub-words."""
        outputs = self.trial(support, query, way)
        return writing_loss(outputs, query.y), outputs

    def trial(self, support: Examples, query: Examples, way: int) -> Tensor:
        """Return the log probabilities of the query texts: a look at validation writes nothing."""
        return self.likelihoods(self.adapt(support, way), query)

    def adjusted(self, state: State) -> tuple[Params, Film | None]:
        """Return the parameters and the FiLM pairs of ``state``."""
        own = self.backbone.params()
        params = {name: state.get(name, value) for name, value in own.items()}
        return params, self.backbone.film_of(params, state["code"]) if "code" in state else None

    def opened(self, state: State, x: Tensor) -> tuple[Params, Film | None, Memory]:
        """Return :meth:`adjusted`, and what the decoder looks at for texts ``x``."""
        params, film = self.adjusted(state)
        memory = self.backbone.read(params, x, film)
        if "memory.ids" in state:
            memory = memory.joined(Memory(*(state[f"memory.{name}"] for name in Memory._fields)))
        return params, film, memory

    def examples_memory(self, support: Examples) -> State:
        """Return ``memory.*``: the support targets, each read after its source, to be copied from."""
        n, asked = support.x.shape
        cut = support.x.new_full((n, 1), CUT)
        held = self.backbone.read(
            self.backbone.params(), torch.cat([support.x, cut, support.y.to(support.x.dtype)], 1), segment=1
        )
        seen = held.seen[:, asked + 1 :]
        if support.mask is not None:
            seen = seen & support.mask[:, None]
        parts = Memory(held.features[:, asked + 1 :], support.y, seen)
        return {f"memory.{name}": part.flatten(0, 1)[None] for name, part in parts._asdict().items()}

    def support_loss(self, state: State, support: Examples) -> Tensor:
        """Return the loss of the support texts under ``state``."""
        y = support.y
        if support.mask is not None:
            y = torch.where(support.mask[:, None], y, PAD)
        return writing_loss(self.likelihoods(state, support), y)

    def without_examples(self) -> State:
        """Return the state of the writer that was shown nothing of the task."""
        return {"code": self.no_code()}

    def no_code(self) -> Tensor:
        """Return the code that changes nothing: the mean of all groups."""
        return self.backbone.input_mean.new_zeros(CODE)
