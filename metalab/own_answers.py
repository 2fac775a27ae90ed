"""A task of answered questions, judged: held out here, from a user's file, or from a table typed in."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metalab.answer_model import (
    AnswerModel,
    Found,
    adapt_answers,
    answer_examples,
    answer_windows,
    overlap,
)
from metalab.backbones import Backbone
from metalab.baselines import Method
from metalab.baselines_text import ANSWER_BASELINES
from metalab.data.answered import Answered
from metalab.data.questions import QuestionSource, stacked, windows_at
from metalab.data.story_source import StorySource
from metalab.inspection import TaskView
from metalab.inspection_answers import inspect_answers
from metalab.metalearners import MetaLearner
from metalab.tasks import Examples, Task, TaskShape

SIZE = 192
"""Tokens of a window of documentation."""
QUERY = 24
"""Questions to judge by, at most: enough to see, and quick."""
MOST_JUDGED = 100_000
"""Characters of the passages to judge by, at most: the baselines read all of them at once."""
SLOW = ("from-scratch", "fine-tuned")
"""Baselines that take seconds, so only ``metalab evaluate`` has them."""


@dataclass(frozen=True)
class AnswerTask:
    """``support`` to learn from and ``query`` to judge by, which may be empty; ``left_out`` questions of the
    user's are in neither."""

    support: list[Answered]
    query: list[Answered]
    left_out: int = 0


def held_out_kinds(source: str = "documentation") -> dict[int, str]:
    """Return the kinds of question of ``source`` that no training has met: number → name."""
    return _source(source, SIZE).class_names("test")


def meaning(kind: int, source: str = "documentation") -> str:
    """Return how a person would ask for ``kind`` of ``source``, "…" standing for what is asked about."""
    return _source(source, SIZE).wording(kind)


def sample_task(
    number: int,
    shot: int,
    query: int,
    kind: int | None = None,
    size: int = SIZE,
    source: str = "documentation",
) -> AnswerTask:
    """Return held-out task ``number`` of ``source`` (documentation or stories), of ``kind`` or of any.

    Raises :class:`DataError`.
    """
    windows = windows_at(_source(source, size, kind), number, "test", TaskShape(1, shot, query), seed=1)
    held = [window.answered() for window in windows]
    return AnswerTask(held[:shot], held[shot:])


def _source(name: str, size: int, kind: int | None = None) -> QuestionSource | StorySource:
    return (StorySource if name == "stories" else QuestionSource)(size, only=kind)


def divide(items: Sequence[Answered], shot: int, seed: int | None = None) -> AnswerTask:
    """Return a task that learns from ``shot`` of ``items`` and is judged by the others.

    They are taken in order, or in one drawn by ``seed``; answered ones come first into the support set.
    """
    order = list(range(len(items)))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(items)).tolist()
    support = sorted(order, key=lambda i: not items[i].end)[:shot]
    rest = [items[i] for i in order if i not in support]
    query: list[Answered] = []
    for one in rest[:QUERY]:
        if query and sum(len(held.passage) for held in [*query, one]) > MOST_JUDGED:
            break
        query.append(one)
    return AnswerTask([items[i] for i in support], query, len(rest) - len(query))


@dataclass(frozen=True)
class BaselineModel(AnswerModel):
    """A baseline in the place of the adapted model; it learns from ``support`` anew at every call."""

    method: Method
    support: Examples

    def outputs(self, rows: Tensor) -> Tensor:
        """Return the baseline's outputs (n, 3, 1, size) for windows (n, size, 6)."""
        rows = rows.to(self.support.x.device)
        unknown = torch.zeros(rows.shape[:2], dtype=torch.int64, device=rows.device)
        with torch.no_grad():
            return self.method(Task(self.support, Examples(rows, unknown), 1), 0).cpu()


@dataclass(frozen=True)
class MethodRow:
    """What ``method`` found in the query passages, its mean token F1 and its share of exact answers."""

    method: str
    label: str
    kind: str
    found: list[Found]
    f1: float
    exact: float


@dataclass(frozen=True)
class Judged:
    """A task with the adapted ``model``, the seconds that adapting took, and a row for each method.

    The meta-learner's row comes first, then the baselines'; without query questions there are none.
    """

    task: AnswerTask
    model: AnswerModel
    pretrained: Backbone
    seconds: float
    rows: list[MethodRow]

    def row(self, method: str) -> MethodRow:
        """Return the row of ``method``."""
        return next(row for row in self.rows if row.method == method)

    def best(self) -> MethodRow:
        """Return the row with the highest token F1, of equal ones the first."""
        return max(self.rows, key=lambda row: row.f1)

    def view(self) -> TaskView:
        """Return the features of tokens before and after; of the support alone without query answers."""
        size, device = self.pretrained.size, self.pretrained.input_mean.device
        query = [one for one in self.task.query if one.end] or self.task.support
        parts = [answer_windows(part, size) for part in (self.task.support, query)]
        support, asked = (stacked(part).to(device) for part in parts)
        words = [window.words() for part in parts for window in part]
        return inspect_answers(self.model.metalearner, self.pretrained, Task(support, asked, 1), words)


def judge(metalearner: MetaLearner, pretrained: Backbone, task: AnswerTask) -> Judged:
    """Adapt to ``task`` and measure the model and the baselines on it. Raises :class:`DataError`."""
    started = time.perf_counter()
    model = adapt_answers(metalearner, task.support)
    seconds = time.perf_counter() - started
    if not task.query:
        return Judged(task, model, pretrained, seconds, [])
    rows = [_row(metalearner.name, metalearner.label, "meta-learner", model, task.query)]
    support = answer_examples(task.support, pretrained.size).to(pretrained.input_mean.device)
    for name, label, make in ANSWER_BASELINES:
        if name not in SLOW:
            other = BaselineModel(metalearner, model.state, make(pretrained), support)
            rows.append(_row(name, label, "baseline", other, task.query))
    return Judged(task, model, pretrained, seconds, rows)


def _row(method: str, label: str, kind: str, model: AnswerModel, query: Sequence[Answered]) -> MethodRow:
    found = model.predict([one.passage for one in query], [one.question for one in query])
    shares = [overlap(one, truth) for one, truth in zip(found, query, strict=True)]
    exact = float(np.mean([share == 1 for share in shares]))
    return MethodRow(method, label, kind, found, float(np.mean(shares)), exact)


def task_key(task: AnswerTask) -> str:
    """Name a task by its content."""
    digest = hashlib.sha256(str(len(task.support)).encode())
    for one in [*task.support, *task.query]:
        digest.update(repr((one.passage, one.question, one.start, one.end)).encode())
    return digest.hexdigest()[:16]


def results_json(asked: Sequence[Answered], found: Sequence[Found]) -> str:
    """Return what was ``found`` as JSON: question, passage, answer, place and confidence, each in a row."""
    rows = [
        {
            "question": one.question,
            "passage": one.passage,
            "found": answer.text,
            "start": answer.start,
            "end": answer.end,
            "confidence": round(answer.probability, 4),
        }
        for one, answer in zip(asked, found, strict=True)
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False)


SCRIPT = '''"""Answer a question about text files: python answer.py "QUESTION" FILE..."""
import json
import sys

import metalab
from metalab.data.answered import read_text

model = metalab.load("model.safetensors")
question, files = sys.argv[1], sys.argv[2:]
found = model.predict([read_text(file) for file in files], [question] * len(files))
for file, one in zip(files, found):
    row = {"file": file, "found": one.text, "start": one.start, "end": one.end}
    print(json.dumps({**row, "confidence": round(one.probability, 4)}, ensure_ascii=False))
'''
"""What a user runs beside the downloaded model."""
