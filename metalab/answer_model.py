"""A reader adapted to a few answered questions: finds the answers to such questions in new passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from metalab.adaptation import describe, rebuild
from metalab.checkpoints import checkpoint_bytes, load_checkpoint, prefixed
from metalab.data.answered import LONGEST, LONGEST_QUESTION, Answered
from metalab.data.corpus import token_span
from metalab.data.questions import Window, numpy_generator, stacked, text_window
from metalab.data.rows import plain_lines
from metalab.data.words import ASKED, Words, assembled, words
from metalab.errors import DataError
from metalab.metalearners import MetaLearner, State
from metalab.spans import NEVER, span_scores
from metalab.storage import atomic_write
from metalab.tasks import Examples, seeded

if TYPE_CHECKING:
    from metalab.api import TaskResult

KIND = "answer-model"
"""Of its checkpoints."""
AT_ONCE = 16
"""Windows read at once."""


@dataclass(frozen=True)
class Found:
    """The answer found: passage[start:end], "" for none; ``probability`` is its share among all spans."""

    text: str
    start: int
    end: int
    probability: float


@dataclass(frozen=True)
class AnswerModel:
    """A question answerer with the state of one task."""

    metalearner: MetaLearner
    state: State

    @property
    def application(self) -> str:
        """What it does."""
        return self.metalearner.application

    def predict(self, passages: Sequence[str], questions: Sequence[str]) -> list[Found]:
        """Return the answer to each question in the passage of the same place.

        Passages of any length are read in overlapping windows. Raises :class:`DataError`.
        """
        if len(passages) != len(questions):
            raise DataError(f"{len(passages)} passages but {len(questions)} questions", where="questions")
        read = [self._read(passage, asked) for passage, asked in zip(passages, questions, strict=True)]
        if not read:
            return []
        outputs = self.outputs(torch.cat([one.rows for one in read]))
        parts = outputs.split([len(one.rows) for one in read])
        return [one.best(part) for one, part in zip(read, parts, strict=True)]

    def outputs(self, rows: Tensor) -> Tensor:
        """Return logits (n, 3, 1, size), see :mod:`metalab.spans`, of windows (n, size, 6)."""
        device = self.metalearner.backbone.input_mean.device
        with torch.no_grad():
            parts = [self.metalearner.predict(self.state, part.to(device)) for part in rows.split(AT_ONCE)]
        return torch.cat(parts).cpu()

    def _read(self, passage: str, asked: str) -> _Read:
        passage, question = plain_lines(passage), checked_question(asked)
        held = words(passage)
        if not len(held):
            raise DataError("an empty passage", where="passages", fix="Give some text")
        return _Read(passage, held, *_windows(held, question, self.metalearner.backbone.size))

    def save(self, path: Path | str) -> None:
        """Write everything to one safetensors file. Raises :class:`StorageError`."""
        atomic_write(Path(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return what :meth:`save` writes."""
        tensors = {f"learner.{k}": v for k, v in self.metalearner.state_dict().items()}
        tensors |= {f"state.{k}": v for k, v in self.state.items()}
        return checkpoint_bytes(KIND, tensors, describe(self.metalearner))


@dataclass(frozen=True)
class _Read:
    """A passage with its tokens, the windows (n, size, 6) that show it, and the first token in each."""

    passage: str
    held: Words
    rows: Tensor
    firsts: list[int]

    def best(self, outputs: Tensor) -> Found:
        """Return the best span of all windows by their ``outputs``."""
        asked = int((self.rows[0, :, -1] == ASKED).sum())
        # A span that two windows show is one span: it counts once, by its higher score.
        scores = torch.full((len(self.held), LONGEST), NEVER)
        for first, part in zip(self.firsts, span_scores(outputs)[:, asked:], strict=True):
            shown = scores[first : first + len(part)]
            torch.maximum(shown, part[: len(shown)], out=shown)
        best = int(scores.argmax())
        value, whole = scores.flatten()[best], torch.cat([scores.flatten(), scores.new_zeros(1)]).logsumexp(0)
        if value < 0:
            return Found("", 0, 0, float((-whole).exp()))
        first, last = best // LONGEST, min(best // LONGEST + best % LONGEST, len(self.held) - 1)
        start, end = int(self.held.spans[first, 0]), int(self.held.spans[last, 1])
        return Found(self.passage[start:end], start, end, float((value - whole).exp()))


def adapt_answers(metalearner: MetaLearner, answered: Sequence[Answered]) -> AnswerModel:
    """Adapt to answered questions; nothing is meta-trained. Raises :class:`DataError`."""
    support = answer_examples(answered, metalearner.backbone.size).to(metalearner.backbone.input_mean.device)
    with torch.no_grad():
        state = metalearner.adapt(support, 1)
    return AnswerModel(metalearner, {name: tensor.detach() for name, tensor in state.items()})


def answer_examples(answered: Sequence[Answered], size: int) -> Examples:
    """Return x (n, size, 6) and y (n, size): of each passage a window around its answer.

    The same passages give the same windows. Raises :class:`DataError`.
    """
    return stacked(answer_windows(answered, size))


def answer_windows(answered: Sequence[Answered], size: int) -> list[Window]:
    """Return the windows of :func:`answer_examples`, which can be read as text. Raises :class:`DataError`."""
    if not any(one.end for one in answered):
        raise DataError("no example has an answer", where="examples", fix="Mark the answer of one or more")
    held = []
    for number, one in enumerate(answered):
        checked_question(one.question)
        passage = words(one.passage)
        answer = token_span(passage, one.start, one.end) if one.end else None
        if answer is not None and answer[1] > LONGEST:
            raise DataError(
                f"an answer of {answer[1]} words, at most {LONGEST}",
                where=f"example {number + 1}",
                fix="Mark the essential part",
            )
        rng = numpy_generator(seeded("cpu", "window", len(passage), number))
        held.append(text_window(one.passage, passage, one.question, answer, size, rng))
    return held


def checked_question(asked: str) -> Words:
    """Return the tokens of a question; raises :class:`DataError` for an empty or too long one."""
    question = words(asked)
    if not 0 < len(question) <= LONGEST_QUESTION:
        raise DataError(
            f"a question of {len(question)} words",
            where="questions",
            fix=f"Ask in 1 to {LONGEST_QUESTION} words",
        )
    return question


def _windows(passage: Words, question: Words, size: int) -> tuple[Tensor, list[int]]:
    """Return windows (n, size, 6) that overlap by half, and the passage's first token in each."""
    room = size - min(len(question), size // 4)
    firsts = [0]
    while firsts[-1] + room < len(passage):
        firsts.append(min(firsts[-1] + room // 2, len(passage) - room))
    rows = np.stack([assembled(question, passage, first, size)[0] for first in firsts])
    return torch.from_numpy(rows), firsts


def load_answer_model(path: Path | str) -> AnswerModel:
    """Read what :meth:`AnswerModel.save` wrote; raises :class:`CheckpointError`."""
    tensors, meta = load_checkpoint(path, KIND)
    return AnswerModel(rebuild(meta, prefixed(tensors, "learner"), path), prefixed(tensors, "state"))


def answer_task_learning(
    metalearner: MetaLearner, train_data: Any, train_labels: Any, test_data: Any, test_labels: Any = None
) -> TaskResult:
    """Adapt to (passage, question) pairs with answers, predict, and judge by token F1, as
    :func:`metalab.api.task_learning`.

    Labels are the answers' words or (start, end) in characters. Raises :class:`DataError`.
    """
    from metalab.api import TaskResult

    model = adapt_answers(metalearner, answered(train_data, train_labels, "train_labels"))
    passages, questions = zip(*_pairs(test_data, "test_data"), strict=True)
    predictions, accuracy = model.predict(passages, questions), None
    if test_labels is not None:
        truth = answered(test_data, test_labels, "test_labels")
        accuracy = float(np.mean([overlap(f, t) for f, t in zip(predictions, truth, strict=True)]))
    return TaskResult(predictions, [one.probability for one in predictions], accuracy, model)


def overlap(found: Found, truth: Answered) -> float:
    """Return F1 of the tokens found against the answer's, by place; 1 where both are none."""
    spans = words(truth.passage).spans
    ours, theirs = (
        {at for at, (start, end) in enumerate(spans.tolist()) if end > one.start and start < one.end}
        for one in (found, truth)
    )
    return 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours or theirs else 1.0


def _pairs(data: Any, where: str) -> list[tuple[str, str]]:
    for number, pair in enumerate(data):
        if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise DataError("is no (passage, question)", where=f"{where}[{number}]")
    return [tuple(pair) for pair in data]


def answered(data: Any, labels: Any, where: str) -> list[Answered]:
    """Return (passage, question) pairs with answers, words or (start, end). Raises :class:`DataError`."""
    from metalab.data.answered import from_rows

    if len(data) != len(labels):
        raise DataError(f"{len(data)} pairs but {len(labels)} answers", where=where)
    held = []
    for number, ((passage, question), label) in enumerate(zip(_pairs(data, where), labels, strict=True)):
        if isinstance(label, str):
            row = {"passage": passage, "question": question, "answer": label}
            held += from_rows(iter([(f"{where}[{number}]", row)]), f"{where}[{number}]").items
        else:
            start, end = (int(value) for value in label)
            held.append(Answered(passage, question, start, end))
    return held
