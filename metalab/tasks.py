"""Tasks and where they come from: support and query examples, splits, fixed seeded task lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
LIST_CHUNK = 8
"""Tasks drawn per seed in a task list: constant, so that a list never depends on how it is read."""


@dataclass(frozen=True)
class Examples:
    """Inputs ``x`` (..., n, *input shape), labels ``y`` (..., n) int64 in 0..way-1 or regression targets
    (..., n, way) float, and an optional ``mask`` (..., n) bool, False for padding (None: all count)."""

    x: Tensor
    y: Tensor
    mask: Tensor | None = None

    def weights(self) -> Tensor:
        """Return per-example weights (..., n): 1 for an example, 0 for padding."""
        if self.mask is None:
            shape = self.y.shape[:-1] if self.y.is_floating_point() else self.y.shape
            return torch.ones(shape, dtype=self.x.dtype, device=self.x.device)
        return self.mask.to(self.x.dtype)

    def to(self, device: torch.device | str) -> Examples:
        """Return a copy on ``device``."""
        mask = None if self.mask is None else self.mask.to(device)
        return Examples(self.x.to(device), self.y.to(device), mask)

    def joined(self, other: Examples) -> Examples:
        """Return these examples of one task followed by those of ``other``."""
        mask = None
        if self.mask is not None or other.mask is not None:
            mask = torch.cat([part.weights().bool() for part in (self, other)])
        return Examples(torch.cat([self.x, other.x]), torch.cat([self.y, other.y]), mask)

    def __getitem__(self, index: int | slice) -> Examples:
        mask = None if self.mask is None else self.mask[index]
        return Examples(self.x[index], self.y[index], mask)


@dataclass(frozen=True)
class Task:
    """One task (= episode): adapt on ``support``, judge on ``query``.

    ``way`` is the number of classes; ``classes`` (way,) int64 names them by their id in the source.
    """

    support: Examples
    query: Examples
    way: int
    classes: Tensor | None = None

    def to(self, device: torch.device | str) -> Task:
        """Return a copy on ``device``."""
        return replace(self, support=self.support.to(device), query=self.query.to(device))


@dataclass(frozen=True)
class TaskBatch:
    """Tasks of one shape, stacked: every tensor of :class:`Task` with a leading task axis."""

    support: Examples
    query: Examples
    way: int
    classes: Tensor | None = None

    def __len__(self) -> int:
        return self.support.x.shape[0]

    def __getitem__(self, index: int) -> Task:
        classes = None if self.classes is None else self.classes[index]
        return Task(self.support[index], self.query[index], self.way, classes)

    def __iter__(self) -> Iterator[Task]:
        return (self[i] for i in range(len(self)))

    def to(self, device: torch.device | str) -> TaskBatch:
        """Return a copy on ``device``."""
        return replace(self, support=self.support.to(device), query=self.query.to(device))


@dataclass(frozen=True)
class TaskShape:
    """How many classes and examples a task has."""

    way: int
    shot: int
    query: int


class TaskSource(Protocol):
    """Draws tasks. Splits share no class; images come as (C, H, W) floats in 0..1, ink or light = 1.

    ``endless``: examples are made anew from the originals each time, so a class has no number of them.
    """

    name: str
    channels: int
    size: int
    endless: bool

    def class_names(self, split: Split) -> dict[int, str]:
        """Map the class ids of ``split`` to readable names (may be empty)."""
        ...

    def groups(self, split: Split) -> dict[str, list[int]]:
        """Map each group (alphabet) of ``split`` to its class ids."""
        ...

    def largest_way(self, split: Split) -> int:
        """Return the most classes that a task of ``split`` can have."""
        ...

    def check(self, shape: TaskShape, split: Split) -> None:
        """Raise :class:`DataError` if ``split`` cannot form tasks of ``shape``."""
        ...

    def sample(self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator) -> TaskBatch:
        """Draw ``n_tasks`` tasks, on the generator's device."""
        ...

    def labelled_batch(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` images with class numbers 0..n_train_classes-1 from meta-train, for pre-training."""
        ...

    def draw(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Return one example (n, C, H, W) of each class id (n,)."""
        ...

    def originals(self, split: Split) -> dict[str, list[bytes]]:
        """Map each class of ``split``, not turned, to digests of what its examples are made of."""
        ...

    @property
    def n_train_classes(self) -> int:
        """Number of classes that :meth:`labelled_batch` labels."""
        ...


def seeded(device: torch.device | str, *key: int | str) -> torch.Generator:
    """Return a generator whose stream is a function of ``key`` alone (no global or hidden seeds)."""
    numbers = [part if isinstance(part, int) else int.from_bytes(part.encode(), "little") for part in key]
    state = np.random.SeedSequence(numbers).generate_state(2, dtype=np.uint32)
    seed = int(state[0]) << 31 ^ int(state[1])
    return torch.Generator(device).manual_seed(seed)


def task_list(
    source: TaskSource,
    n_tasks: int,
    split: Split,
    shape: TaskShape,
    seed: int,
    device: torch.device | str = "cpu",
) -> Iterator[TaskBatch]:
    """Yield a fixed list of ``n_tasks`` tasks in batches of at most :data:`LIST_CHUNK`.

    (source, split, shape, seed) names the list: task i is the same however many tasks are asked for,
    so that two methods are compared on the very same tasks. Raises :class:`DataError`.
    """
    source.check(shape, split)
    for start in range(0, n_tasks, LIST_CHUNK):
        yield _chunk(
            source, start // LIST_CHUNK, split, shape, seed, min(LIST_CHUNK, n_tasks - start), device
        )


def task_at(
    source: TaskSource,
    index: int,
    split: Split,
    shape: TaskShape,
    seed: int,
    device: torch.device | str = "cpu",
) -> Task:
    """Return task number ``index`` of the list that :func:`task_list` yields. Raises :class:`DataError`."""
    source.check(shape, split)
    chunk = _chunk(source, index // LIST_CHUNK, split, shape, seed, LIST_CHUNK, device)
    return chunk[index % LIST_CHUNK]


def list_generator(device: torch.device | str, seed: int, split: Split, index: int) -> torch.Generator:
    """Return what draws the chunk of a task list that holds task number ``index``."""
    return seeded(device, seed, split, index // LIST_CHUNK)


def _chunk(
    source: TaskSource,
    number: int,
    split: Split,
    shape: TaskShape,
    seed: int,
    keep: int,
    device: torch.device | str,
) -> TaskBatch:
    generator = list_generator(device, seed, split, number * LIST_CHUNK)
    batch = source.sample(LIST_CHUNK, split, shape, generator)
    if keep == LIST_CHUNK:
        return batch
    return TaskBatch(batch.support[:keep], batch.query[:keep], batch.way, batch.classes[:keep])
