"""Spoken words of one's own: a recogniser from a few recordings of each, and where a word is said."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metalab.adaptation import AdaptedModel, adapt_examples
from metalab.backbones import Backbone
from metalab.data.archives import Note
from metalab.data.recordings import read_samples
from metalab.data.sounds import mel_spectrum, word_picture
from metalab.data.voices import RATE
from metalab.errors import DataError
from metalab.inspection import TaskView, inspect_task
from metalab.metalearners import MetaLearner
from metalab.tasks import Examples, Task

GAP = 0.18
"""Seconds of silence that part two words of a longer recording."""
LEAST = 0.12
"""Seconds of a word, at least."""
QUIET = 26.0
"""Decibels below the loudest that part words."""


@dataclass(frozen=True)
class Heard:
    """What was heard from ``start`` to ``end`` seconds: ``word``, None for none of these, and how surely."""

    start: float
    end: float
    word: str | None
    probability: float


def adapt_words(metalearner: MetaLearner, words: Mapping[str, Sequence[Tensor]]) -> AdaptedModel:
    """Adapt to pictures (1, bands, moments) of the recordings of each word. Raises :class:`DataError` for
    fewer than two words."""
    if len(words) < 2:
        raise DataError("a recogniser needs two words or more", where="words", fix="Add another word")
    device = metalearner.backbone.input_mean.device
    support = _examples(words, list(words)).to(device)
    return adapt_examples(metalearner, support, list(words), calibrated=True)


def listen(model: AdaptedModel, samples: np.ndarray) -> list[Heard]:
    """Return the words that ``model`` hears in a recording (n,) at 16 kHz, parted by silence."""
    parts = spans(samples)
    if not parts:
        return []
    pieces = [samples[start:end] for start, end in parts]
    told = model.judge(pieces)
    known = [True] * len(parts) if told.known is None else told.known.tolist()
    return [
        Heard(
            start / RATE,
            end / RATE,
            str(model.classes[int(row.argmax())]) if sure else None,
            float(row.max()),
        )
        for (start, end), row, sure in zip(parts, told.probabilities, known, strict=True)
    ]


def spans(samples: np.ndarray) -> list[tuple[int, int]]:
    """Return where something is said in ``samples`` (n,): first and last sample of each part."""
    level = mel_spectrum(torch.as_tensor(samples, dtype=torch.float32))
    loud = (10 ** (level / 10)).sum(0).clamp(min=1e-9).log10() * 10
    hop = RATE // 100
    said = (loud > loud.max() - QUIET).nonzero().flatten().tolist()
    parts: list[list[int]] = []
    for frame in said:
        if parts and (frame - parts[-1][1]) * hop < GAP * RATE:
            parts[-1][1] = frame
        else:
            parts.append([frame, frame])
    return [
        (max(0, (first - 3) * hop), min(len(samples), (last + 4) * hop))
        for first, last in parts
        if (last - first + 1) * hop >= LEAST * RATE
    ]


@dataclass(frozen=True)
class WordTask:
    """``support`` recordings of each word to learn from and ``query`` ones to judge by: samples at 16 kHz."""

    support: dict[str, list[np.ndarray]]
    query: dict[str, list[np.ndarray]]


def held_out_task(way: int, shot: int, query: int, seed: int) -> WordTask:
    """Return embedded words that no training has met, each recording in another voice, also unmet."""
    from metalab.data.spoken import CLIPS, clip, spoken_words

    names, rng = spoken_words()["test"], np.random.default_rng(seed)
    support: dict[str, list[np.ndarray]] = {}
    asked: dict[str, list[np.ndarray]] = {}
    for number in rng.choice(len(names), way, replace=False):
        takes = rng.choice(CLIPS, shot + query, replace=False).tolist()
        said = [clip("test", int(number), names[number], take) for take in takes]
        label = names[number].replace(" ", "")
        support[label], asked[label] = said[:shot], said[shot:]
    return WordTask(support, asked)


def pictures(words: Mapping[str, Sequence[np.ndarray]]) -> dict[str, list[Tensor]]:
    """Return the pictures of recordings."""
    return {word: [word_picture(one) for one in own] for word, own in words.items()}


def task_of_zip(content: bytes, name: str, shot: int) -> tuple[WordTask, list[Note]]:
    """Return the words of a zip, ``shot`` recordings of each to learn from, and notes about its files.

    Raises :class:`DataError`."""
    words, notes = read_samples(io.BytesIO(content), name)
    support = {word: own[:shot] for word, own in words.items()}
    return WordTask(support, {word: own[shot:] for word, own in words.items() if own[shot:]}), notes


def view(metalearner: MetaLearner, pretrained: Backbone, task: WordTask) -> TaskView:
    """Return the features of recordings before and after; of the support alone without query recordings."""
    names = list(task.support)
    parts = [_examples(pictures(part), names) for part in (task.support, task.query or task.support)]
    return inspect_task(metalearner, pretrained, Task(*parts, len(names)), names)


def _examples(words: Mapping[str, Sequence[Tensor]], names: Sequence[str]) -> Examples:
    x = torch.stack([picture for own in words.values() for picture in own])
    return Examples(x, torch.tensor([names.index(word) for word, own in words.items() for _ in own]))


@dataclass(frozen=True)
class JudgedWords:
    """A task with the adapted model, its accuracy on the query recordings (None without any), and the seconds
    that adapting took."""

    task: WordTask
    model: AdaptedModel
    accuracy: float | None
    seconds: float


def judge(metalearner: MetaLearner, task: WordTask) -> JudgedWords:
    """Adapt to ``task`` and judge by its query recordings. Raises :class:`DataError`."""
    support = pictures(task.support)
    started = time.perf_counter()
    model = adapt_words(metalearner, support)
    seconds = time.perf_counter() - started
    asked = [(word, one) for word, own in task.query.items() for one in own]
    if not asked:
        return JudgedWords(task, model, None, seconds)
    found = model.predict([one for _, one in asked])
    right = [word == said for (word, _), said in zip(asked, found, strict=True)]
    return JudgedWords(task, model, float(np.mean(right)), seconds)
