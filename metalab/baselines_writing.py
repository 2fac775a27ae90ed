"""Baselines of all that writes: the writer as it is, one from scratch, ridge regression as chooser."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from metalab.backbones import Backbone, Writer
from metalab.backbones.base import Film, Params
from metalab.baselines import Method
from metalab.candidates import as_pairs, as_text, written_ids
from metalab.data.pairs import Pair
from metalab.data.subwords import vocabulary
from metalab.metalearners import get_metalearner
from metalab.tasks import Task
from metalab.tuning import fitted
from metalab.writing import write

RIDGE = 10.0
"""Penalty of the weights, chosen on meta-validation."""
SCRATCH_STEPS, SCRATCH_RATE = 60, 3e-3


def written(writer: Writer, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
    """Return the likeliest texts (n, TARGET_LENGTH) for texts ``x`` (n, length)."""
    return write(writer, params, writer.read(params, x, film), film)[0][:, 0]


def said(make: Callable[[Sequence[Pair], str], str]) -> Callable[[Backbone], Method]:
    """What ``make`` makes of the support pairs and a text."""

    def baseline(backbone: Backbone) -> Method:
        words = vocabulary(backbone.vocabulary)

        def method(task: Task, number: int) -> Tensor:
            pairs = as_pairs(task.support, words)
            texts = [make(pairs, as_text(row, words)) for row in task.query.x.long().tolist()]
            return written_ids(texts, words).to(task.query.x.device)

        return method

    return baseline


def unadapted(backbone: Backbone) -> Method:
    """What the pre-trained writer writes without an example."""

    def method(task: Task, number: int) -> Tensor:
        return written(backbone, backbone.params(), task.query.x)

    return method


def from_scratch(backbone: Backbone) -> Method:
    """The same writer, newly initialised, trained on the support pairs alone."""

    def method(task: Task, number: int) -> Tensor:
        model = backbone.from_scratch(number)
        moved = fitted(model, task.support, torch.zeros_like(model.codes[0]), SCRATCH_STEPS, SCRATCH_RATE)
        params = {**model.params(), **moved}
        return written(model, params, task.query.x, model.film_of(params, moved["code"]))

    return method


def ridge_over(chooser: str) -> Callable[[Backbone], Method]:
    """The very candidates that ``chooser`` has, as it sees them, and ridge regression on the examples'."""

    def baseline(backbone: Backbone) -> Method:
        from sklearn.linear_model import Ridge

        cls = get_metalearner(chooser)
        learner = cls(backbone, cls.Options())

        def method(task: Task, number: int) -> Tensor:
            state, held = learner.learnt(task.support)
            rows, gains = (part[held.mask].cpu().numpy() for part in (held.features, held.gains))
            asked = learner.candidates(state, task.query.x)
            scores = Ridge(RIDGE).fit(rows, gains).predict(asked.features.flatten(0, 1).cpu().numpy())
            scores = torch.from_numpy(scores).to(asked.gains).view(asked.mask.shape)
            best = scores.masked_fill(~asked.mask, -torch.inf).argmax(1)
            return asked.ids[torch.arange(len(best), device=best.device), best]

        return method

    return baseline
