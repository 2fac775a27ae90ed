"""Tasks of writing: pairs of texts of one group (a language, a package's style), learnt from K pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metalab.data.questions import numpy_generator
from metalab.data.subwords import END, PAD, Vocabulary
from metalab.errors import DataError
from metalab.tasks import Examples, Split, TaskBatch, TaskShape

TARGET_LENGTH = 48
"""Most sub-words of a text to be written, its end included."""
ROUND = 8
"""Lengths of a batch are rounded up to multiples of it."""


@dataclass(frozen=True)
class Pair:
    """A text and what is to be written for it: its translation, or its summary."""

    source: str
    target: str


@dataclass(frozen=True)
class Encoded:
    """Pairs of a group as sub-words."""

    sources: list[list[int]]
    targets: list[list[int]]


Groups = Mapping[str, Sequence[Pair]]
"""Pairs of each language or package, by its name."""


def encoded(pairs: Sequence[Pair], vocabulary: Vocabulary, length: int) -> Encoded:
    """Return ``pairs`` as sub-words, sources of at most ``length``, targets as :func:`target_ids`."""
    sources = vocabulary.encode_all([pair.source for pair in pairs])
    targets = vocabulary.encode_all([pair.target for pair in pairs])
    return Encoded([ids[:length] for ids in sources], [target_ids(ids) for ids in targets])


def target_ids(ids: list[int]) -> list[int]:
    """Return ``ids`` with their end, cut to :data:`TARGET_LENGTH`."""
    return [*ids[: TARGET_LENGTH - 1], END]


def cut_short(pairs: Sequence[Pair], vocabulary: Vocabulary, length: int) -> tuple[list[int], list[int]]:
    """Return which sources, and which targets, are longer than is read or written, by their places."""
    sources = vocabulary.encode_all([pair.source for pair in pairs])
    targets = vocabulary.encode_all([pair.target for pair in pairs])
    return (
        [at for at, ids in enumerate(sources) if len(ids) > length],
        [at for at, ids in enumerate(targets) if len(ids) >= TARGET_LENGTH],
    )


def padded(rows: Sequence[Sequence[int]], least: int = ROUND) -> np.ndarray:
    """Return ``rows`` as one array (n, length) of int64, :data:`PAD` after their ends."""
    length = max(least, max((len(row) for row in rows), default=0))
    held = np.full((len(rows), -(-length // ROUND) * ROUND), PAD, dtype=np.int64)
    for at, row in enumerate(rows):
        held[at, : len(row)] = row
    return held


def pair_examples(pairs: Sequence[Pair], vocabulary: Vocabulary, length: int) -> Examples:
    """Return x (n, Ls) and y (n, Lt) of ``pairs``: sub-words, :data:`PAD` after their ends.

    x is float, as all inputs are; y is int64 and ends in :data:`END`.
    """
    held = encoded(pairs, vocabulary, length)
    return Examples(torch.from_numpy(padded(held.sources)).float(), torch.from_numpy(padded(held.targets)))


def source_examples(texts: Sequence[str], vocabulary: Vocabulary, length: int) -> Tensor:
    """Return ``texts`` as x (n, Ls)."""
    return pair_examples([Pair(text, "") for text in texts], vocabulary, length).x


class PairSource:
    """Tasks of one group each: x (n, Ls) and y (n, Lt) as :func:`pair_examples` makes them.

    ``splits`` holds the groups of each split; ``size`` is the most sub-words of a source. Within a task no
    source text occurs twice. All tasks of a batch are padded to one length.
    """

    channels, endless = 1, False

    def __init__(
        self,
        name: str,
        splits: Mapping[Split, Groups],
        vocabulary: Vocabulary,
        size: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.name, self.vocabulary, self.size = name, vocabulary, size
        self.device = torch.device(device)
        self.pairs = {
            split: {group: _once(held) for group, held in splits[split].items()} for split in splits
        }
        self.names = [group for split in splits for group in splits[split]]
        self._encoded: dict[tuple[Split, str], Encoded] = {}

    @property
    def n_train_classes(self) -> int:
        """Number of groups in meta-train."""
        return len(self.pairs.get("train", {}))

    def groups(self, split: Split) -> dict[str, list[int]]:
        """Return the groups of ``split`` by number, all in one."""
        return {self.name: [self.names.index(group) for group in self._groups(split)]}

    def class_names(self, split: Split) -> dict[int, str]:
        """Name the groups of ``split``."""
        return {self.names.index(group): group for group in self._groups(split)}

    def class_name(self, class_id: int) -> str:
        """Return the name of a group."""
        return self.names[class_id]

    def largest_way(self, split: Split) -> int:
        """Return 1: a task has one group."""
        return 1

    def check(self, shape: TaskShape, split: Split) -> None:
        """Raise :class:`DataError` if no group of ``split`` has enough pairs, or the way is not 1."""
        if shape.way != 1:
            raise DataError("a task has one group of texts", where="way", fix="Use 1")
        if not self._enough(split, shape):
            most = max((len(held) for held in self.pairs.get(split, {}).values()), default=0)
            raise DataError(
                f"{shape.shot + shape.query} pairs are needed, the largest group has {most}",
                where=f"{self.name}, {split} split",
                fix="Lower the shot or the query, or bring more pairs",
            )

    def sample(self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator) -> TaskBatch:
        """Draw ``n_tasks`` tasks; groups with too few pairs for ``shape`` are passed over."""
        drawn = self._drawn(n_tasks, split, shape, generator)
        sources, targets, classes = [], [], []
        for group, rows in drawn:
            held = self._ids(split, group)
            sources += [held.sources[row] for row in rows]
            targets += [held.targets[row] for row in rows]
            classes.append([self.names.index(group)])
        x = torch.from_numpy(padded(sources)).float().to(self.device).unflatten(0, (n_tasks, -1))
        y = torch.from_numpy(padded(targets)).to(self.device).unflatten(0, (n_tasks, -1))
        support, query = (
            Examples(x[:, cut], y[:, cut]) for cut in (slice(shape.shot), slice(shape.shot, None))
        )
        return TaskBatch(support, query, 1, torch.tensor(classes, device=self.device))

    def texts(
        self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator
    ) -> list[list[Pair]]:
        """Return the pairs, support before query, of the tasks that :meth:`sample` draws."""
        drawn = self._drawn(n_tasks, split, shape, generator)
        return [[self.pairs[split][group][row] for row in rows] for group, rows in drawn]

    def labelled_pairs(self, n: int, generator: torch.Generator) -> tuple[Examples, Tensor]:
        """Draw ``n`` meta-train pairs, each group as often, and the numbers (n,) of their groups in 0.."""
        rng, groups = numpy_generator(generator), list(self.pairs["train"])
        numbers = rng.integers(len(groups), size=n)
        sources, targets = [], []
        for number in numbers:
            held = self._ids("train", groups[number])
            row = rng.integers(len(held.sources))
            sources.append(held.sources[row])
            targets.append(held.targets[row])
        x, y = (torch.from_numpy(padded(rows)).to(self.device) for rows in (sources, targets))
        return Examples(x.float(), y), torch.from_numpy(numbers).to(self.device)

    def originals(self, split: Split) -> dict[str, list[bytes]]:
        """Map each group of ``split`` to digests of its pairs."""
        return {
            group: [hashlib.sha256(f"{pair.source}\0{pair.target}".encode()).digest() for pair in held]
            for group, held in self.pairs.get(split, {}).items()
        }

    def _groups(self, split: Split) -> list[str]:
        return list(self.pairs.get(split, {}))

    def _enough(self, split: Split, shape: TaskShape) -> list[str]:
        each = shape.shot + shape.query
        return [group for group in self._groups(split) if len(self.pairs[split][group]) >= each]

    def _ids(self, split: Split, group: str) -> Encoded:
        if (split, group) not in self._encoded:
            self._encoded[split, group] = encoded(self.pairs[split][group], self.vocabulary, self.size)
        return self._encoded[split, group]

    def _drawn(
        self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator
    ) -> list[tuple[str, list[int]]]:
        """Return the group and the pairs' places of each task."""
        rng, groups, each = numpy_generator(generator), self._enough(split, shape), shape.shot + shape.query
        drawn = []
        for _ in range(n_tasks):
            group = groups[rng.integers(len(groups))]
            drawn.append((group, rng.choice(len(self.pairs[split][group]), each, replace=False).tolist()))
        return drawn


def _once(pairs: Sequence[Pair]) -> list[Pair]:
    """Return ``pairs`` without those whose source came before."""
    held: dict[str, Pair] = {}
    for pair in pairs:
        held.setdefault(pair.source, pair)
    return list(held.values())
