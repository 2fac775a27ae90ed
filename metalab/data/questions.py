"""Tasks of question answering: one kind of question about documentation, to be learnt from K examples.

A kind (:mod:`metalab.data.numpydoc`) is a class: meta-train, meta-validation and meta-test share no kind, no
family of kinds, and no package. The question's words say nothing of the kind: a made-up word stands for
it, the same in the whole task, besides the subject asked about. What it means must be learnt from examples.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metalab.data.answered import Answered
from metalab.data.corpus import corpus
from metalab.data.made_up import made_up
from metalab.data.numpydoc import KINDS, kinds_of
from metalab.data.words import TOLD, WORD, Words, assembled, words
from metalab.errors import DataError
from metalab.tasks import LIST_CHUNK, Examples, Split, TaskBatch, TaskShape, TaskSource, list_generator

BEGIN, INSIDE, UNKNOWN = 1, 2, -1
"""Labels of tokens, besides 0: the first token of the answer, its further ones, and what does not count."""
LABELS = 3
"""Number of labels that count: outside, beginning, inside."""
GENERIC = 0.6
"""Share of meta-training tasks whose kind is made up: what stands after, before or below a word, of one of
some lengths (:mod:`metalab.data.made_up`)."""
MISSING = 0.1
"""Share of meta-training query windows that show nothing of the answer, as long passages have them."""
WORDED = 0.5
"""Share of meta-training tasks that ask in plain words, so that these do not surprise."""


@dataclass(frozen=True)
class Window:
    """One example of a task: ``tokens`` (size, 6) and ``labels`` (size,), with the text that they show.

    The window shows the question's first ``asked`` tokens, then ``passage`` (tokens of ``text``) from token
    ``start`` on, as far as there is room. ``answer`` is the first token in the passage and the number of
    tokens, None for unanswered.
    """

    tokens: np.ndarray
    labels: np.ndarray
    text: str
    passage: Words
    question: str
    answer: tuple[int, int] | None
    start: int
    asked: int

    @property
    def end(self) -> int:
        """The passage's token after the last one shown."""
        return min(len(self.passage), self.start + len(self.tokens) - self.asked)

    def words(self) -> list[str]:
        """Return the words that the tokens stand for, as written; "" for padding."""
        spelled = [match[0] for match in WORD.finditer(self.question)][: self.asked]
        spelled += [self.text[a:b] for a, b in self.passage.spans[self.start : self.end].tolist()]
        return spelled + [""] * (len(self.tokens) - len(spelled))

    def answered(self) -> Answered:
        """Return the part of the passage that is shown, the question, and where the answer stands there."""
        spans = self.passage.spans
        first = int(spans[self.start, 0])
        shown = self.text[first : int(spans[self.end - 1, 1])]
        if self.answer is None or not self.start <= self.answer[0] < self.end:
            return Answered(shown, self.question)
        last = min(sum(self.answer), self.end) - 1
        return Answered(
            shown, self.question, int(spans[self.answer[0], 0]) - first, int(spans[last, 1]) - first
        )


class QuestionSource:
    """Tasks over documentation: x (n, size, 6) as :func:`metalab.data.words.assembled` makes it, y (n, size)
    with :data:`BEGIN`, :data:`INSIDE`, 0, and :data:`UNKNOWN` for the question and padding.

    A task has one kind of question and as many passages as examples, no passage twice. With ``only``, a
    kind's number, all tasks of its split are of this kind.
    """

    name, channels, endless = "documentation", 1, False

    def __init__(self, size: int = 192, device: torch.device | str = "cpu", only: int | None = None) -> None:
        self.size, self.device, self.only = size, torch.device(device), only

    @property
    def n_train_classes(self) -> int:
        """Number of kinds in meta-train."""
        return len(kinds_of("train"))

    def groups(self, split: Split) -> dict[str, list[int]]:
        """Return the kinds of ``split``, all in one group."""
        return {"questions": self._kinds(split)}

    def class_names(self, split: Split) -> dict[int, str]:
        """Name the kinds of ``split``."""
        return {i: KINDS[i].name for i in self._kinds(split)}

    def _kinds(self, split: Split) -> list[int]:
        return [i for i in kinds_of(split) if self.only in (None, i)]

    def class_name(self, class_id: int) -> str:
        """Return the name of a kind."""
        return KINDS[class_id].name

    def wording(self, class_id: int) -> str:
        """Return how a person would ask for a kind, "…" standing for what is asked about."""
        return KINDS[class_id].wording.format("…")

    def largest_way(self, split: Split) -> int:
        """Return 1: a task has one kind of question."""
        return 1

    def check(self, shape: TaskShape, split: Split) -> None:
        """Raise :class:`DataError` if a kind of ``split`` has too few passages, or the way is not 1."""
        if shape.way != 1:
            raise DataError("a task has one kind of question", where="way", fix="Use 1")
        if not (kinds := self._kinds(split)):
            raise DataError(f"{KINDS[self.only].name!r} is no question of this split", where=split)
        fewest = min(kinds, key=lambda i: len(_passages_of(split, i)))
        held, needed = len(_passages_of(split, fewest)), shape.shot + shape.query
        if held < needed:
            raise DataError(
                f"{KINDS[fewest].name!r} is answered in {held} passages, {needed} are needed",
                where=f"documentation, {split} split",
                fix="Lower the shot or the query",
            )

    def sample(self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator) -> TaskBatch:
        """Draw ``n_tasks`` tasks of one kind each; in meta-training some kinds are made up."""
        tasks, classes = self._tasks(n_tasks, split, shape, generator)
        return question_batch(tasks, shape.shot, torch.tensor(classes), self.device)

    def windows(
        self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator
    ) -> list[list[Window]]:
        """Return the examples, support before query, of the tasks that :meth:`sample` draws."""
        return self._tasks(n_tasks, split, shape, generator)[0]

    def _tasks(
        self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator
    ) -> tuple[list[list[Window]], list[list[int]]]:
        """Return the examples and the classes of each task."""
        rng = numpy_generator(generator)
        kinds, each, held = self._kinds(split), shape.shot + shape.query, corpus(split)
        classes, tasks = [], []
        for _ in range(n_tasks):
            kind = int(rng.choice(kinds))
            if split == "train" and rng.random() < GENERIC:
                drawn, wording = made_up(rng, each), ""
            else:
                drawn, wording = _drawn(split, kind, each, rng), KINDS[kind].wording
            if not (split == "train" and wording and rng.random() < WORDED):
                wording = f"{made_up_word(rng)} {{}}?"
            rows = []
            for at, (number, subject, *answer) in enumerate(drawn):
                missing = split == "train" and at >= shape.shot and rng.random() < MISSING
                rows.append(
                    text_window(
                        held.texts[number],
                        held.passages[number],
                        wording.format(subject),
                        tuple(answer),
                        self.size,
                        rng,
                        missing,
                    )
                )
            classes.append([kind])
            tasks.append(rows)
        return tasks, classes

    def labelled_questions(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` meta-train windows asked by made-up words, and what each token is to every kind of
        meta-train (n, size, kinds): a label of :data:`BEGIN` and so on, -1 for what does not count."""
        rng, kinds = numpy_generator(generator), kinds_of("train")
        place = {kind: at for at, kind in enumerate(kinds)}
        by_subject = _by_subject()
        x = np.zeros((n, self.size, 6), dtype=np.float32)
        y = np.full((n, self.size, len(kinds)), UNKNOWN, dtype=np.int64)
        for row in range(n):
            kind = int(rng.choice(kinds))
            number, subject, *answer = _drawn("train", kind, 1, rng)[0]
            question = words(f"{made_up_word(rng)} {subject}?")
            passage = corpus("train").passages[number]
            x[row], labels, start, asked = window(passage, question, tuple(answer), self.size, rng)
            y[row, labels >= 0] = 0
            for other, first, count in by_subject[number, subject]:
                at = first - start + asked
                if at >= asked and at + count <= self.size:
                    y[row, at, place[other]] = BEGIN
                    y[row, at + 1 : at + count, place[other]] = INSIDE
        return torch.from_numpy(x).to(self.device), torch.from_numpy(y).to(self.device)

    def originals(self, split: Split) -> dict[str, list[bytes]]:
        """Map each kind of ``split`` to digests of its passages."""
        held = corpus(split)
        return {
            KINDS[i].name: [hashlib.sha256(held.texts[n].encode()).digest() for n in _passages_of(split, i)]
            for i in kinds_of(split)
        }


def window(
    passage: Words,
    question: Words,
    answer: tuple[int, int] | None,
    size: int,
    rng: np.random.Generator,
    missing: bool = False,
    whole: bool = False,
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Return tokens (size, 6), labels (size,), the passage's first token shown, and where it stands.

    The window starts at a line drawn among those that show the whole ``answer`` (first token, tokens); with
    ``missing`` among those that show nothing of it, if there are any; with ``whole`` at the passage's first.
    """
    room = size - min(len(question), size // 4)
    starts = [0] if whole else [0, *(at for at, word in enumerate(passage.plain) if word[0] == "\n")]
    latest = max(0, len(passage) - room)
    first, count = answer or (0, 0)
    fit = [at for at in starts if first + count - room <= at <= min(first, latest + 24)]
    if missing and (without := [at for at in starts if at >= first + count or at + room <= first]):
        fit, answer = without, None
    start = int(rng.choice(fit)) if fit else max(0, first + count - room)
    rows, asked = assembled(question, passage, start, size)
    labels = np.where(rows[:, -1] >= TOLD, 0, UNKNOWN).astype(np.int64)
    if answer is not None:
        at = first - start + asked
        labels[at], labels[at + 1 : at + count] = BEGIN, INSIDE
    return rows, labels, start, asked


def text_window(
    text: str,
    passage: Words,
    question: str,
    answer: tuple[int, int] | None,
    size: int,
    rng: np.random.Generator,
    missing: bool = False,
    whole: bool = False,
) -> Window:
    """Return a :func:`window` on ``passage``, the tokens of ``text``, that can be read as text."""
    tokens, labels, start, asked = window(passage, words(question), answer, size, rng, missing, whole)
    return Window(tokens, labels, text, passage, question, answer, start, asked)


def windows_at(
    source: TaskSource,
    index: int,
    split: Split,
    shape: TaskShape,
    seed: int,
    device: torch.device | str = "cpu",
) -> list[Window]:
    """Return the examples, support before query, of the task that :func:`metalab.tasks.task_at` returns.

    ``source`` has questions: it is a :class:`QuestionSource`, or one like it. Raises :class:`DataError`.
    """
    source.check(shape, split)
    generator = list_generator(device, seed, split, index)
    return source.windows(LIST_CHUNK, split, shape, generator)[index % LIST_CHUNK]


def stacked(windows: Sequence[Window]) -> Examples:
    """Return windows as examples: x (n, size, 6) and y (n, size)."""
    tokens, labels = (
        np.stack(part) for part in zip(*((one.tokens, one.labels) for one in windows), strict=True)
    )
    return Examples(torch.from_numpy(tokens), torch.from_numpy(labels))


def question_batch(tasks: list[list[Window]], shot: int, classes: Tensor, device: torch.device) -> TaskBatch:
    """Return the windows of each task as a batch, the first ``shot`` as support set."""
    held = stacked([row for rows in tasks for row in rows]).to(device)
    x, y = (part.unflatten(0, (len(tasks), -1)) for part in (held.x, held.y))
    support, query = (Examples(x[:, cut], y[:, cut]) for cut in (slice(shot), slice(shot, None)))
    return TaskBatch(support, query, 1, classes.to(device))


@functools.cache
def _passages_of(split: Split, kind: int) -> list[int]:
    return sorted({item[0] for item in corpus(split).items[kind]})


@functools.cache
def _by_passage(split: Split, kind: int) -> dict[int, list[tuple[int, str, int, int]]]:
    found: dict[int, list[tuple[int, str, int, int]]] = {}
    for item in corpus(split).items[kind]:
        found.setdefault(item[0], []).append(item)
    return found


@functools.cache
def _by_subject() -> dict[tuple[int, str], list[tuple[int, int, int]]]:
    """Map (passage, subject) of meta-train to (kind, first token, tokens) of all its answers; those about
    the whole text belong to every subject."""
    kinds, found, whole = kinds_of("train"), {}, {}
    for kind in kinds:
        for number, subject, first, count in corpus("train").items[kind]:
            found.setdefault((number, subject), []).append((kind, first, count))
            if not subject:
                whole.setdefault(number, []).append((kind, first, count))
    return {key: held + (whole.get(key[0], []) if key[1] else []) for key, held in found.items()}


def _drawn(split: Split, kind: int, n: int, rng: np.random.Generator) -> list[tuple[int, str, int, int]]:
    """Draw ``n`` answers of ``kind``, each from another passage."""
    held = _by_passage(split, kind)
    chosen = rng.choice(_passages_of(split, kind), n, replace=False)
    return [held[number][rng.integers(len(held[number]))] for number in chosen]


def made_up_word(rng: np.random.Generator) -> str:
    """Draw a word that means nothing."""
    letters = [rng.choice(list("bdfgklmnprstvz")) + rng.choice(list("aeiou")) for _ in range(3)]
    return "".join(letters)


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """Return a numpy generator that the next draw of ``generator`` seeds."""
    seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
    return np.random.default_rng(int(seed))
