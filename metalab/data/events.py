"""Events: who met what, when, and how it went. Ratings of products and clicks on advertisements alike.

A task is whoever is new: a user who rates products, or a campaign whose advertisement is shown. An entity is
what the task meets: the product, or the person who sees the advertisement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Events:
    """Rows of task ``i`` are ``starts[i]:starts[i + 1]``, in order of time.

    Per row: ``entity`` (n,) int32, ``outcome`` (n,) float32 (a rating, or 1 for a click and 0 for none),
    ``time`` (n,) int64 (seconds, or any order), ``context`` (n, c). ``task_features`` (tasks, t) and
    ``entity_features`` (entities, e) hold numbers of about unit size, 0 where unknown. ``feature_names`` are
    those of entities, then of tasks, then of the context. ``scale`` is the least and the largest outcome.
    """

    starts: NDArray[np.int64]
    entity: NDArray[np.int32]
    outcome: Floats
    time: NDArray[np.int64]
    context: Floats
    task_features: Floats
    entity_features: Floats
    task_names: Sequence[str]
    entity_names: Sequence[str]
    feature_names: tuple[str, ...]
    scale: tuple[float, float]
    entity_keys: Sequence[str] = ()
    """What entities are called in the user's table, where their names are titles."""

    def __len__(self) -> int:
        """Return the number of tasks."""
        return len(self.starts) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """Events of each task (tasks,)."""
        return np.diff(self.starts)

    @property
    def features(self) -> int:
        """Numbers that describe an event, besides the entity itself."""
        return self.entity_features.shape[1] + self.task_features.shape[1] + self.context.shape[1]

    def rows(self, task: int) -> slice:
        """Return where the events of ``task`` stand."""
        return slice(int(self.starts[task]), int(self.starts[task + 1]))

    def rows_of(self, tasks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of all events of ``tasks``, task after task."""
        counts = self.counts[tasks]
        first = np.repeat(self.starts[:-1][tasks] - np.concatenate([[0], counts.cumsum()[:-1]]), counts)
        return first + np.arange(counts.sum())

    def task_of(self) -> NDArray[np.int64]:
        """Return the task of each event (n,)."""
        return np.repeat(np.arange(len(self)), self.counts)


def gathered(
    task: NDArray[np.integer],
    entity: NDArray[np.integer],
    outcome: NDArray[np.floating],
    time: NDArray[np.integer],
    *,
    task_features: Floats,
    entity_features: Floats,
    task_names: Sequence[str],
    entity_names: Sequence[str],
    feature_names: tuple[str, ...],
    context: Floats | None = None,
    scale: tuple[float, float] | None = None,
    entity_keys: Sequence[str] = (),
) -> Events:
    """Return events (rows in any order) with the rows of each task together, in order of time."""
    order = np.lexsort((time, task))
    counts = np.bincount(task, minlength=len(task_names))
    if scale is None:
        scale = (float(outcome.min()), float(outcome.max()))
    return Events(
        np.concatenate([[0], counts.cumsum()]).astype(np.int64),
        entity[order].astype(np.int32),
        outcome[order].astype(np.float32),
        time[order].astype(np.int64),
        np.zeros((len(order), 0), np.float32) if context is None else context[order].astype(np.float32),
        task_features.astype(np.float32),
        entity_features.astype(np.float32),
        task_names,
        entity_names,
        feature_names,
        scale,
        entity_keys,
    )
