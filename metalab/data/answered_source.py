"""Tasks over a user's own answered questions: all meta-test; some are learnt from, others are asked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from metalab.data.answered import LONGEST, read_answered
from metalab.data.corpus import token_span
from metalab.data.questions import Window, numpy_generator, question_batch, text_window
from metalab.data.words import words
from metalab.errors import DataError
from metalab.tasks import Split, TaskBatch, TaskShape


class AnsweredSource:
    """Tasks as those of :class:`metalab.data.questions.QuestionSource`, drawn from the file ``path``.

    Passages longer than a window are shown around their answer. Raises :class:`DataError`.
    """

    name, channels, endless = "answered", 1, False

    def __init__(self, path: Path, size: int, device: torch.device | str = "cpu") -> None:
        self.size, self.device, self._path = size, torch.device(device), path
        held = read_answered(path)
        self.notes = held.notes
        self._items = []
        for one in held.items:
            passage = words(one.passage)
            answer = token_span(passage, one.start, one.end) if one.end else None
            if answer is None or answer[1] <= LONGEST:
                self._items.append((one.passage, passage, one.question, answer))

    n_train_classes = 0

    def groups(self, split: Split) -> dict[str, list[int]]:
        """Return the one class of meta-test: all questions of the file."""
        return {"questions": [0]} if split == "test" else {}

    def class_names(self, split: Split) -> dict[int, str]:
        """Name it."""
        return {0: "own questions"} if split == "test" else {}

    def class_name(self, class_id: int) -> str:
        """Return its name."""
        return "own questions"

    def wording(self, class_id: int) -> str:
        """Return how a person asks for it: each question says so itself."""
        return "…"

    def largest_way(self, split: Split) -> int:
        """Return 1."""
        return 1

    def check(self, shape: TaskShape, split: Split) -> None:
        """Raise :class:`DataError` for another split than meta-test, another way, or too few questions."""
        if split != "test":
            raise DataError("own questions are meta-test only", where="source", fix="Use documentation")
        if shape.way != 1:
            raise DataError("a task has one kind of question", where="way", fix="Use 1")
        if len(self._items) < shape.shot + shape.query:
            raise DataError(
                f"{len(self._items)} questions, {shape.shot + shape.query} are needed",
                where=self._path,
                fix="Lower the shot or the query, or bring more",
            )

    def sample(self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator) -> TaskBatch:
        """Draw ``n_tasks`` tasks; support and query share no question."""
        tasks = self.windows(n_tasks, split, shape, generator)
        classes = torch.zeros(n_tasks, 1, dtype=torch.int64)
        return question_batch(tasks, shape.shot, classes, self.device)

    def windows(
        self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator
    ) -> list[list[Window]]:
        """Return the examples, support before query, of the tasks that :meth:`sample` draws."""
        rng, tasks = numpy_generator(generator), []
        for _ in range(n_tasks):
            chosen = rng.choice(len(self._items), shape.shot + shape.query, replace=False)
            tasks.append([text_window(*self._items[number], self.size, rng) for number in chosen])
        return tasks

    def labelled_batch(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Raise :class:`DataError`: there is nothing to train on."""
        raise DataError("own questions are meta-test only", where="source", fix="Use documentation")

    def originals(self, split: Split) -> dict[str, list[bytes]]:
        """Map the one class of meta-test to digests of its passages."""
        held = [hashlib.sha256(one[0].encode()).digest() for one in self._items]
        return {"own questions": held} if split == "test" else {}
