"""Tasks over events: the first K of a user's ratings, or of a campaign's impressions, and those that follow.

Splits share no task: users (or campaigns) of meta-test are unknown in meta-training. With time, campaigns of
meta-test are those that began last, and within every task the query comes after the support set. What is
known of entities (products, viewers) comes from meta-train alone; an entity that it never met has number 0
and is described by its features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from metalab.data.event_features import Column
from metalab.data.events import Events, Floats
from metalab.data.questions import numpy_generator
from metalab.errors import DataError
from metalab.tasks import SPLITS, Examples, Split, TaskBatch, TaskShape

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
FACTORED = 0.75
"""Share of meta-train campaigns that pre-training sees. Clicks are few: where it saw a campaign's own, its
codes know them by heart, and meta-training would learn to trust codes that tell nothing of a new campaign."""
FEWEST_QUERY = 3
"""Query events that a task must have, at least."""


class EventSource:
    """Tasks of one kind of :class:`Events`; x (n, 1 + features): the entity's number, then what describes it.

    y (n, 1) is the outcome. ``by_time``: support and query follow each other, and so do the splits; else
    events of a task are drawn in any order, and tasks are split at random (by name, so for ever the same).
    """

    channels, endless = 1, False

    def __init__(
        self,
        name: str,
        events: Events,
        by_time: bool,
        device: torch.device | str = "cpu",
        notes: tuple[str, ...] = (),
        columns: tuple[Column, ...] = (),
    ) -> None:
        self.name, self.events, self.by_time = name, events, by_time
        self.device, self.notes = torch.device(device), notes
        self.columns = columns
        """How columns of the user's table became features."""
        self.size = 1 + events.features
        self.tasks = _divided(events, by_time)
        order = self.tasks["train"][_by_digest([events.task_names[i] for i in self.tasks["train"]])]
        ends = round((FACTORED if by_time else 1.0) * len(order))
        self.factored = np.sort(order[:ends])
        """Meta-train tasks of which pre-training sees all events."""
        self.learning = np.sort(order[ends:]) if by_time else self.factored
        """Those that :meth:`sample` draws for meta-training."""
        rows = events.rows_of(self.factored)
        self.known = np.zeros(len(events.entity_names), dtype=np.int64)
        """Number of each entity (entities,): from 1 up for those that meta-train met, else 0."""
        met = np.unique(events.entity[rows])
        self.known[met] = 1 + np.arange(len(met))

    @property
    def n_entities(self) -> int:
        """Number of entities that meta-train met."""
        return int(self.known.max(initial=0))

    @property
    def n_train_classes(self) -> int:
        """Number of meta-train tasks."""
        return len(self.tasks["train"])

    def groups(self, split: Split) -> dict[str, list[int]]:
        """Return the tasks of ``split``, all in one group."""
        return {"tasks": self.tasks[split].tolist()}

    def class_names(self, split: Split) -> dict[int, str]:
        """Name the tasks of ``split``."""
        return {int(i): str(self.events.task_names[i]) for i in self.tasks[split]}

    def class_name(self, class_id: int) -> str:
        """Return the name of a task."""
        return str(self.events.task_names[class_id])

    def largest_way(self, split: Split) -> int:
        """Return 1: one outcome is predicted."""
        return 1

    def check(self, shape: TaskShape, split: Split) -> None:
        """Raise :class:`DataError` if the way is not 1, or no task of ``split`` has enough events."""
        if shape.way != 1:
            raise DataError("a task has one outcome", where="way", fix="Use 1")
        if not len(self.eligible(split, shape.shot)):
            raise DataError(
                f"no task of {split} has {shape.shot + FEWEST_QUERY} events",
                where=self.name,
                fix="Lower the shot, or bring more data",
            )

    def eligible(self, split: Split, shot: int) -> NDArray[np.int64]:
        """Return the tasks of ``split`` with ``shot`` events and some to be judged by."""
        held = self.learning if split == "train" else self.tasks[split]
        return held[self.events.counts[held] >= shot + FEWEST_QUERY]

    def sample(self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator) -> TaskBatch:
        """Draw ``n_tasks`` tasks; a query set that has fewer events is padded, with a mask."""
        rng = numpy_generator(generator)
        held = self.eligible(split, shape.shot)
        chosen = rng.choice(held, n_tasks, replace=len(held) < n_tasks)
        parts = [self.divided(int(task), shape, rng) for task in chosen]
        support = self.examples(np.stack([part[0] for part in parts]), np.asarray(chosen)[:, None])
        rows = np.full((n_tasks, shape.query), -1, dtype=np.int64)
        for row, (_, query) in zip(rows, parts, strict=True):
            row[: len(query)] = query
        query = self.examples(rows, np.asarray(chosen)[:, None])
        return TaskBatch(support, query, 1, torch.from_numpy(np.asarray(chosen))[:, None])

    def divided(
        self, task: int, shape: TaskShape, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of a task's support and query set; ``shape.query`` of the latter at most."""
        held = np.arange(self.events.starts[task], self.events.starts[task + 1])
        if not self.by_time:
            held = rng.permutation(held)
        later = held[shape.shot :]
        if self.by_time and len(later) > shape.query:
            later = np.sort(rng.choice(later, shape.query, replace=False))
        return held[: shape.shot], later[: shape.query]

    def examples(self, rows: NDArray[np.int64], task: NDArray[np.int64]) -> Examples:
        """Return events ``rows`` (any shape, -1 for padding) of ``task`` (broadcastable) as examples."""
        events = self.events
        at = rows.clip(0)
        x = self.described(events.entity[at], np.broadcast_to(task, rows.shape), events.context[at])
        mask = rows >= 0
        y = np.where(mask, events.outcome[at], 0)[..., None].astype(np.float32)
        x = np.where(mask[..., None], x, 0).astype(np.float32)
        to = self.device
        return Examples(
            torch.from_numpy(x).to(to),
            torch.from_numpy(y).to(to),
            None if mask.all() else torch.from_numpy(mask).to(to),
        )

    def described(self, entity: NDArray[np.integer], task: NDArray[np.integer], context: Floats) -> Floats:
        """Return inputs (..., 1 + features) of ``task`` meeting ``entity`` in ``context`` (..., c)."""
        events = self.events
        parts = [
            self.known[entity][..., None].astype(np.float32),
            events.entity_features[entity],
            events.task_features[task],
            context,
        ]
        return np.concatenate(parts, -1)

    def train_rows(self) -> NDArray[np.int64]:
        """Return the numbers of the events that pre-training sees."""
        return self.events.rows_of(self.factored)

    def originals(self, split: Split) -> dict[str, list[bytes]]:
        """Map each task of ``split`` to its events: task, entity, outcome and time as bytes."""
        events = self.events
        parts = (events.task_of(), events.entity, events.outcome.astype(np.float64), events.time)
        table = np.column_stack([part.astype(np.float64) for part in parts])
        found = {}
        for task in self.tasks[split].tolist():
            rows = np.ascontiguousarray(table[events.rows(task)])
            found[self.class_name(task)] = rows.view(f"V{rows.itemsize * rows.shape[1]}")[:, 0].tolist()
        return found


def _divided(events: Events, by_time: bool) -> dict[Split, NDArray[np.int64]]:
    """Return the tasks of each split: by their first event, or by a digest of their names."""
    if by_time:
        order = np.lexsort((np.arange(len(events)), _first_times(events)))
    else:
        order = _by_digest(events.task_names)
    ends = np.round(np.cumsum([SHARES[split] for split in SPLITS]) * len(order)).astype(int)
    parts = np.split(order, ends[:-1])
    return {split: np.sort(part) for split, part in zip(SPLITS, parts, strict=True)}


def _by_digest(names: Sequence[str]) -> NDArray[np.int64]:
    """Return a random order of ``names`` that is the same for ever."""
    digests = [hashlib.sha256(str(name).encode()).digest()[:8] for name in names]
    return np.argsort(np.array([int.from_bytes(one, "big") for one in digests], dtype=np.uint64))


def _first_times(events: Events) -> NDArray[np.int64]:
    first = np.full(len(events), np.iinfo(np.int64).max)
    some = events.counts > 0
    first[some] = events.time[events.starts[:-1][some]]
    return first
