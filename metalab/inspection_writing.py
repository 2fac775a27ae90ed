"""Look into a task of writing: texts as points, before and after adaptation."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from metalab.data.pairs import Pair, pair_examples
from metalab.data.pairs_in import WORDS
from metalab.data.subwords import vocabulary
from metalab.inspection import TaskView, as_stages, kept_states
from metalab.metalearners.writers import Writing
from metalab.tasks import Examples, Task
from metalab.writing import likeliness

CAPTION = 120
"""Characters of a text that its caption shows."""


@torch.no_grad()
def inspect_writing(metalearner: Writing, support: Sequence[Pair], query: Sequence[Pair]) -> TaskView:
    """Adapt to ``support`` and look at every stage, as :func:`metalab.inspection.inspect_task` does.

    A point is a text: those to be read, and those to be written for them. A stage's probabilities are how
    near a text is to the mean of either kind in the support set; its accuracy is the geometric mean
    probability of the sub-words of the query set's true texts. There are no images: captions show the texts.
    """
    writer = metalearner.backbone
    held = vocabulary(writer.vocabulary)
    parts = [
        pair_examples(pairs, held, writer.size).to(writer.input_mean.device) for pairs in (support, query)
    ]
    task = Task(parts[0], parts[1], 1)
    started = time.perf_counter()
    metalearner.predict(metalearner.adapt(task.support, 1), task.query.x)
    seconds = time.perf_counter() - started
    labels = np.concatenate([np.repeat([0, 1], len(pairs)) for pairs in (support, query)])
    known = 2 * len(support)
    found = []
    for name, state in kept_states(metalearner, task):
        rows = torch.cat([_features(metalearner, state, part) for part in parts])
        chance = float(likeliness(metalearner.likelihoods(state, task.query), task.query.y))
        found.append((name, rows, _nearness(rows, known), chance))
    texts = [text for pairs in (support, query) for text in _texts(pairs)]
    return TaskView(
        np.zeros((len(labels), 1, 1, 1), dtype=np.float32),
        labels,
        np.arange(len(labels)) < known,
        list(WORDS[metalearner.application]),
        as_stages(found),
        seconds,
        captions=[" ".join(text.split())[:CAPTION] for text in texts],
    )


def _texts(pairs: Sequence[Pair]) -> list[str]:
    return [*(pair.source for pair in pairs), *(pair.target for pair in pairs)]


def _features(metalearner: Writing, state: dict[str, Tensor], part: Examples) -> Tensor:
    """Return the features of the texts to be read, then of those to be written."""
    y = part.y.to(part.x.dtype)
    return torch.cat([metalearner.features(state, part.x), metalearner.features(state, y)])


def _nearness(rows: Tensor, known: int) -> Tensor:
    """Return probabilities (query points, 2) by the distance to the means of the first ``known`` rows."""
    means = torch.stack([half.mean(0) for half in rows[:known].chunk(2)])
    return (-torch.cdist(rows[known:], means)).softmax(1)
