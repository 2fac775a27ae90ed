"""Tasks of question answering over made-up stories: one kind of question, to be learnt from K examples.

As in :mod:`metalab.data.questions`, a made-up word stands for the kind, besides the subject asked about.
Splits share no kind, no family of kinds, and no name or thing that stories tell of.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from metalab.data.corpus import token_span
from metalab.data.questions import (
    BEGIN,
    GENERIC,
    MISSING,
    UNKNOWN,
    WORDED,
    Window,
    made_up_word,
    numpy_generator,
    question_batch,
    text_window,
    window,
)
from metalab.data.stories import (
    STORY_KINDS,
    MadeUp,
    Story,
    StoryKind,
    made_up_kind,
    story_kinds_of,
    told,
)
from metalab.data.words import words
from metalab.errors import DataError
from metalab.tasks import Split, TaskBatch, TaskShape, seeded

LEAST = 144
"""Tokens of a window into which every story fits, with its question: half a story may answer otherwise."""
LISTED = 64
"""Stories of a kind that :meth:`StorySource.originals` lists: there is no end of them."""


class StorySource:
    """Tasks as those of :class:`metalab.data.questions.QuestionSource`, over stories made anew each time.

    With ``only``, a kind's number, all tasks of its split are of this kind. Raises :class:`DataError` for a
    ``size`` below :data:`LEAST`.
    """

    name, channels, endless = "stories", 1, True

    def __init__(self, size: int = 192, device: torch.device | str = "cpu", only: int | None = None) -> None:
        if size < LEAST:
            raise DataError(f"a window of {size} tokens", where="image_size", fix=f"Use {LEAST} or more")
        self.size, self.device, self.only = size, torch.device(device), only

    @property
    def n_train_classes(self) -> int:
        """Number of kinds in meta-train."""
        return len(story_kinds_of("train"))

    def groups(self, split: Split) -> dict[str, list[int]]:
        """Return the kinds of ``split``, all in one group."""
        return {"stories": self._kinds(split)}

    def class_names(self, split: Split) -> dict[int, str]:
        """Name the kinds of ``split``."""
        return {i: STORY_KINDS[i].name for i in self._kinds(split)}

    def class_name(self, class_id: int) -> str:
        """Return the name of a kind."""
        return STORY_KINDS[class_id].name

    def wording(self, class_id: int) -> str:
        """Return how a person would ask for a kind, "…" standing for what is asked about."""
        return STORY_KINDS[class_id].wording.format("…")

    def largest_way(self, split: Split) -> int:
        """Return 1: a task has one kind of question."""
        return 1

    def check(self, shape: TaskShape, split: Split) -> None:
        """Raise :class:`DataError` if the way is not 1, or the one kind asked for is of another split."""
        if shape.way != 1:
            raise DataError("a task has one kind of question", where="way", fix="Use 1")
        if not self._kinds(split):
            raise DataError(f"{STORY_KINDS[self.only].name!r} is no question of this split", where=split)

    def sample(self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator) -> TaskBatch:
        """Draw ``n_tasks`` tasks of one kind each; in meta-training some kinds are made up."""
        tasks, classes = self._tasks(n_tasks, split, shape, generator)
        return question_batch(tasks, shape.shot, torch.tensor(classes), self.device)

    def windows(
        self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator
    ) -> list[list[Window]]:
        """Return the examples, support before query, of the tasks that :meth:`sample` draws."""
        return self._tasks(n_tasks, split, shape, generator)[0]

    def labelled_questions(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` meta-train windows asked by made-up words, and what each token is to every kind of
        meta-train (n, size, kinds): a label of :data:`BEGIN` or 0, -1 for what does not count."""
        rng, kinds = numpy_generator(generator), story_kinds_of("train")
        x = np.zeros((n, self.size, 6), dtype=np.float32)
        y = np.full((n, self.size, len(kinds)), UNKNOWN, dtype=np.int64)
        for row in range(n):
            text, subject, answer = _example(rng, "train", STORY_KINDS[int(rng.choice(kinds))])
            passage, question = words(text.text), words(f"{made_up_word(rng)} {subject}?")
            first = token_span(passage, *answer)
            x[row], labels, start, asked = window(passage, question, first, self.size, rng, whole=True)
            y[row, labels >= 0] = 0
            for place, kind in enumerate(kinds):
                for other, (_, *span) in STORY_KINDS[kind].find(text):
                    at = token_span(passage, *span)[0] - start + asked
                    if other == subject and asked <= at < self.size:
                        y[row, at, place] = BEGIN
        return torch.from_numpy(x).to(self.device), torch.from_numpy(y).to(self.device)

    def originals(self, split: Split) -> dict[str, list[bytes]]:
        """Map each kind of ``split`` to digests of the first stories of a fixed list."""
        found = {}
        for number in story_kinds_of(split):
            rng = numpy_generator(seeded("cpu", "stories", split, number))
            held = [_example(rng, split, STORY_KINDS[number])[0].text for _ in range(LISTED)]
            found[STORY_KINDS[number].name] = [hashlib.sha256(text.encode()).digest() for text in held]
        return found

    def _kinds(self, split: Split) -> list[int]:
        return [i for i in story_kinds_of(split) if self.only in (None, i)]

    def _tasks(
        self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator
    ) -> tuple[list[list[Window]], list[list[int]]]:
        """Return the examples and the classes of each task."""
        rng, kinds = numpy_generator(generator), self._kinds(split)
        classes, tasks = [], []
        for _ in range(n_tasks):
            number = int(rng.choice(kinds))
            kind, relation = STORY_KINDS[number], None
            if split == "train" and rng.random() < GENERIC:
                kind, relation = made_up_kind(rng, lambda: made_up_word(rng))
            wording = kind.wording
            if not (split == "train" and wording and rng.random() < WORDED):
                wording = f"{made_up_word(rng)} {{}}?"
            rows = []
            for at in range(shape.shot + shape.query):
                story, subject, answer = _example(rng, split, kind, relation)
                passage = words(story.text)
                span = token_span(passage, *answer)
                if split == "train" and at >= shape.shot and rng.random() < MISSING:
                    subject, span = made_up_word(rng), None  # somebody of whom the story says nothing
                question = wording.format(subject)
                rows.append(text_window(story.text, passage, question, span, self.size, rng, whole=True))
            classes.append([number])
            tasks.append(rows)
        return tasks, classes


def _example(
    rng: np.random.Generator, split: Split, kind: StoryKind, relation: MadeUp | None = None
) -> tuple[Story, str, tuple[int, int]]:
    """Tell stories until one answers ``kind``; return it, a subject, and where the answer stands."""
    while True:
        story = told(rng, split, kind.about, relation)
        if found := kind.find(story):
            subject, (_, start, end) = found[rng.integers(len(found))]
            return story, subject, (start, end)
