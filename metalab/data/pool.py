"""A source over a fixed pool of images: Omniglot, digits, own folders."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from metalab.data.sampling import check_groups, choose_classes, digests, episode, largest_way
from metalab.errors import DataError
from metalab.tasks import Split, TaskBatch, TaskShape


@dataclass
class PoolSource:
    """Tasks over ``images`` (n, C, size, size) floats in 0..1 with class numbers ``labels`` (n,).

    ``splits`` maps each split to its groups (alphabets) of class ids; ``names`` names the classes. A class
    id is ``4 * class + quarter turns``; turned classes exist only in meta-train, if ``rotations``. ``hint``
    says what to do when a split is empty.
    """

    name: str
    images: Tensor
    labels: Tensor
    names: list[str]
    splits: dict[Split, dict[str, list[int]]]
    episodes: str = "mixed"
    rotations: bool = False
    hint: str = ""
    endless = False
    _table: Tensor = field(init=False, repr=False)
    _count: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.channels, self.size = self.images.shape[1], self.images.shape[-1]
        self._count = torch.bincount(self.labels, minlength=len(self.names))
        order = self.labels.argsort(stable=True)
        first = self._count.cumsum(0) - self._count
        column = torch.arange(int(self._count.max()), device=self.labels.device)
        self._table = order[(first[:, None] + column).clamp(max=len(order) - 1)]
        self._ids = {
            split: {group: self._turned(ids, split) for group, ids in groups.items()}
            for split, groups in self.splits.items()
        }
        train = [i for ids in self._ids.get("train", {}).values() for i in ids]
        self._train = torch.tensor(train, device=self.labels.device)

    def _turned(self, ids: list[int], split: Split) -> list[int]:
        turns = 4 if self.rotations and split == "train" else 1
        return [4 * number + turn for number in ids for turn in range(turns)]

    @property
    def n_train_classes(self) -> int:
        """Number of meta-train classes, turned ones included."""
        return len(self._train)

    def groups(self, split: Split) -> dict[str, list[int]]:
        """Map each group of ``split`` to its class ids."""
        return self._ids.get(split, {})

    def class_names(self, split: Split) -> dict[int, str]:
        """Name the classes of ``split``."""
        return {i: self.class_name(i) for ids in self.groups(split).values() for i in ids}

    def class_name(self, class_id: int) -> str:
        """Return the class's name, with the angle if it is turned."""
        name, turn = self.names[class_id // 4], class_id % 4
        return name if not turn else f"{name} {90 * turn}°"

    def largest_way(self, split: Split) -> int:
        """Return the most classes that a task of ``split`` can have."""
        return largest_way(self.groups(split), self.episodes)

    def check(self, shape: TaskShape, split: Split) -> None:
        """Raise :class:`DataError` if ``split`` has too few classes, or a class too few images."""
        groups, where = self.groups(split), f"{self.name}, {split} split"
        if not groups:
            offered = ", ".join(name for name, held in self._ids.items() if held)
            fix = self.hint or f"This source offers {offered} tasks only: train on another one"
            raise DataError(f"there are no {split} tasks", where=where, fix=fix)
        check_groups(groups, shape.way, where, self.episodes)
        needed = shape.shot + shape.query
        ids = torch.tensor([i // 4 for held in groups.values() for i in held])
        counts = self._count.cpu()[ids]
        if int(counts.min()) < needed:
            worst = self.names[int(ids[counts.argmin()])]
            raise DataError(
                f"images of class {worst!r}: {int(counts.min())}, tasks need {needed} (shot + query)",
                where=where,
                fix="Add images, or lower shot and query",
            )

    def sample(self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator) -> TaskBatch:
        """Draw ``n_tasks`` tasks, examples without replacement; images (n_tasks, way * n, C, size, size)."""
        groups = [torch.tensor(ids) for ids in self.groups(split).values()]
        classes = choose_classes(
            [torch.cat(groups)] if self.episodes == "mixed" else groups, n_tasks, shape.way, generator
        )
        rows = classes // 4
        keys = torch.rand(*rows.shape, self._table.shape[1], device=self._table.device, generator=generator)
        absent = torch.arange(self._table.shape[1], device=keys.device) >= self._count[rows].unsqueeze(-1)
        columns = keys.masked_fill(absent, -1).topk(shape.shot + shape.query, dim=-1).indices
        chosen = self._table[rows].gather(-1, columns)
        turns = (classes % 4).unsqueeze(-1).expand_as(chosen)
        images = quarter_turns(self.images[chosen.flatten()], turns.flatten())
        return episode(images.view(*chosen.shape, *self.images.shape[1:]), classes, shape)

    def labelled_batch(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` meta-train images with class numbers (n,)."""
        if not len(self._train):
            raise DataError(
                "this source has no classes to train on", where=self.name, fix="Train on another source"
            )
        labels = torch.randint(len(self._train), (n,), device=self._train.device, generator=generator)
        return self.draw(self._train[labels], generator), labels

    def draw(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Pick one image of each class id (n,) at random: (n, C, size, size)."""
        rows = ids // 4
        column = (torch.rand(len(ids), device=rows.device, generator=generator) * self._count[rows]).long()
        return quarter_turns(self.images[self._table[rows, column]], ids % 4)

    def originals(self, split: Split) -> dict[str, list[bytes]]:
        """Map each class of ``split``, upright, to digests of its images."""
        return {
            self.names[number]: digests(self.images[self._table[number, : int(self._count[number])]])
            for ids in self.splits.get(split, {}).values()
            for number in ids
        }


def quarter_turns(images: Tensor, turns: Tensor) -> Tensor:
    """Rotate each of ``images`` (n, C, s, s) by its number of quarter turns (n,)."""
    if not bool(turns.any()):
        return images
    out = images.clone()
    for turn in (1, 2, 3):
        chosen = turns == turn
        out[chosen] = torch.rot90(images[chosen], turn, dims=(2, 3))
    return out
