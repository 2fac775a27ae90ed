"""A task of pairs of texts, judged before and after adaptation: from a user's file, or a table typed in."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metalab.data.pairs import Pair
from metalab.inspection import TaskView
from metalab.inspection_writing import inspect_writing
from metalab.metalearners.writers import Writing
from metalab.written_model import Written, WrittenModel, adapt_writer, judged_outputs

QUERY = 24
"""Pairs to judge by, at most: enough to see, and quick."""


@dataclass(frozen=True)
class TextTask:
    """``support`` to learn from and ``query`` to judge by, which may be empty.

    ``left_out`` pairs are in neither."""

    support: list[Pair]
    query: list[Pair]
    left_out: int = 0


@dataclass(frozen=True)
class JudgedTexts:
    """A task with the model that was given no example and the adapted one, and what both write.

    ``scores`` are the application's metric before and after, None without a query set; ``seconds``: time that
    adapting took.
    """

    task: TextTask
    plain: WrittenModel
    model: WrittenModel
    seconds: float
    before: list[Written]
    after: list[Written]
    scores: tuple[float, float] | None

    def view(self) -> TaskView:
        """Return the features of texts before and after; of the support alone without a query set."""
        return inspect_writing(
            self.model.metalearner, self.task.support, self.task.query or self.task.support
        )


def divide(pairs: Sequence[Pair], shot: int, seed: int | None = None) -> TextTask:
    """Return a task that learns from ``shot`` of ``pairs``, in order or in one drawn by ``seed``; the others,
    :data:`QUERY` at most, judge it."""
    order = list(range(len(pairs)))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(pairs)).tolist()
    held = [pairs[at] for at in order]
    rest = held[shot:]
    return TextTask(held[:shot], rest[:QUERY], len(rest[QUERY:]))


def held_out(application: str) -> dict[str, list[Pair]]:
    """Return the pairs of the packages, or languages, that no training has met, by a name for people.

    Raises :class:`DataError` when the packages that hold translations are missing.
    """
    if application == "summarisation":
        from metalab.data.summaries import summaries

        return summaries("test")
    from metalab.data.catalogue_source import TEST
    from metalab.data.catalogues import catalogues, language_name

    found = catalogues()
    return {language_name(code): found[code] for code in TEST if code in found}


def judge(metalearner: Writing, task: TextTask) -> JudgedTexts:
    """Adapt to ``task`` and write the query texts without and with its examples.

    Raises :class:`DataError`."""
    started = time.perf_counter()
    model = adapt_writer(metalearner, task.support)
    seconds = time.perf_counter() - started
    plain = WrittenModel(metalearner, metalearner.without_examples())
    if not task.query:
        return JudgedTexts(task, plain, model, seconds, [], [], None)
    texts = [pair.source for pair in task.query]
    scores = judged_outputs(plain, task.query), judged_outputs(model, task.query)
    return JudgedTexts(task, plain, model, seconds, plain.predict(texts), model.predict(texts), scores)


def task_key(task: TextTask) -> str:
    """Name a task by its content."""
    digest = hashlib.sha256(repr((task.support, task.query)).encode())
    return digest.hexdigest()[:16]


def results_json(query: Sequence[Pair], found: Sequence[Written]) -> str:
    """Return what was written for ``query`` as JSON, each with the true text beside it."""
    rows = [{"truth": pair.target, **one.as_dict()} for pair, one in zip(query, found, strict=True)]
    return json.dumps(rows, indent=1, ensure_ascii=False)


SCRIPT = '''"""Write for each line of text files: python write.py FILE..."""
import sys
from pathlib import Path

import metalab

model = metalab.load("model.safetensors")
for file in sys.argv[1:]:
    lines = [line for line in Path(file).read_text(encoding="utf-8").splitlines() if line.strip()]
    for one in model.predict(lines):
        print(f"{one.source}\\t{one.text}\\t{one.probability:.2f}")
'''
"""What a user runs beside the downloaded model."""
