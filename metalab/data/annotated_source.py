"""Own annotated pictures as a source of tasks for segmentation and detection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metalab.data.annotated import Picture, read_annotated
from metalab.data.archives import Note
from metalab.data.fitting import fitting_size
from metalab.data.folder import split_classes
from metalab.data.labelled import Target, targets, unseen
from metalab.data.sampling import check_groups, digests
from metalab.errors import DataError
from metalab.preparation import resize
from metalab.tasks import Examples, Split, TaskBatch, TaskShape


class AnnotatedSource:
    """Tasks over ``pictures``, resized to ``size``: classes are split, objects of other splits are ground.

    A picture that shows classes of two splits serves both, each time with the labels of one.
    """

    name, channels, endless = "annotated", 3, False

    def __init__(
        self,
        pictures: Sequence[Picture],
        size: int,
        target: Target,
        device: torch.device | str = "cpu",
        test_only: bool = False,
        notes: Sequence[Note] = (),
    ) -> None:
        """``notes``: what was said of the data when it was read."""
        self.notes = list(notes)
        self.size, self.target = size, target
        self._names = sorted({instance.label for picture in pictures for instance in picture.instances})
        self._x = torch.cat([_fitted(picture.image, size) for picture in pictures]).to(device)
        self._y = targets(pictures, self._names, size, target).to(device)
        self._shows = [
            [i for i, picture in enumerate(pictures) if any(one.label == name for one in picture.instances)]
            for name in self._names
        ]
        self._splits = split_classes(len(self._names), test_only)

    @property
    def n_train_classes(self) -> int:
        """Number of meta-train classes."""
        return len(self._splits.get("train", []))

    def groups(self, split: Split) -> dict[str, list[int]]:
        """Return the class ids of ``split``, all in one group."""
        held = self._splits.get(split, [])
        return {"classes": held} if held else {}

    def class_names(self, split: Split) -> dict[int, str]:
        """Name the classes of ``split``."""
        return {i: self._names[i] for i in self._splits.get(split, [])}

    def class_name(self, class_id: int) -> str:
        """Return the class's name."""
        return self._names[class_id]

    def largest_way(self, split: Split) -> int:
        """Return the number of classes of ``split``."""
        return len(self._splits.get(split, []))

    def check(self, shape: TaskShape, split: Split) -> None:
        """Raise :class:`DataError` if ``split`` has too few classes, or a class is on too few pictures."""
        where = f"{self.name}, {split} split"
        if not self._splits.get(split):
            raise DataError(f"there are no {split} tasks", where=where, fix="Give pictures of more classes")
        check_groups(self.groups(split), shape.way, where, "mixed")
        needed = shape.shot + shape.query
        worst = min(self._splits[split], key=lambda i: len(self._shows[i]))
        if len(self._shows[worst]) < needed:
            raise DataError(
                f"pictures of class {self._names[worst]!r}: {len(self._shows[worst])}, tasks need {needed} "
                "(shot + query)",
                where=where,
                fix="Add pictures, or lower shot and query",
            )

    def sample(self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator) -> TaskBatch:
        """Draw ``n_tasks`` tasks; no picture is in a task twice while there are others."""
        known, picked, classes = torch.tensor(self._splits[split]), [], []
        for _ in range(n_tasks):
            order = torch.rand(len(known), generator=generator, device=generator.device).cpu()
            chosen = known[order.argsort()[: shape.way]]
            classes.append(chosen)
            picked.append(self._pictures(chosen.tolist(), shape, generator))
        rows, ids = torch.tensor(picked).to(self._x.device), torch.stack(classes).to(self._x.device)
        parts = []
        for part in (slice(shape.shot), slice(shape.shot, None)):
            numbers = rows[:, :, part].flatten(1)
            y = torch.stack([self._of_task(self._y[n], task) for n, task in zip(numbers, ids, strict=True)])
            parts.append(Examples(self._x[numbers], y))
        return TaskBatch(*parts, shape.way, ids)

    def _pictures(self, classes: list[int], shape: TaskShape, generator: torch.Generator) -> list[list[int]]:
        """Return the pictures of each class, support first."""
        used: set[int] = set()
        found = []
        for number in classes:
            held = torch.tensor(self._shows[number])
            keys = torch.rand(len(held), generator=generator, device=generator.device).cpu()
            again = torch.tensor([float(int(i) in used) for i in held])
            order = held[(keys + again).argsort()][: shape.shot + shape.query].tolist()
            used.update(order)
            found.append(order)
        return found

    def _of_task(self, y: Tensor, classes: Tensor) -> Tensor:
        """Return targets ``y`` of all classes as those of a task's ``classes`` (way,)."""
        if self.target == "boxes":
            match = y[..., :1] == classes.to(y)
            number = torch.where(match.any(-1), match.to(y).argmax(-1).to(y), -1.0)
            return torch.cat([number[..., None], y[..., 1:]], -1)
        table = torch.zeros(len(self._names) + 2, dtype=torch.long, device=y.device)
        table[classes + 1] = torch.arange(1, len(classes) + 1, device=y.device)
        table[-1] = -1
        return table[y]

    def labelled_scenes(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` pictures of meta-train classes with, per pixel, 0 or 1 + the number of the class."""
        train = torch.tensor(self._splits.get("train", []), device=self._x.device)
        shown = sorted({i for number in train.tolist() for i in self._shows[number]})
        if not shown:
            raise DataError("this source has no classes to train on", where=self.name)
        rows = torch.randint(len(shown), (n,), generator=generator, device=generator.device)
        rows = torch.tensor(shown, device=self._x.device)[rows.to(self._x.device)]
        y = self._of_task(self._y[rows], train)
        return self._x[rows], y if self.target == "masks" else _filled(y, self.size)

    def labelled_batch(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` pictures of meta-train classes, with the number of one class of each (n,)."""
        x, y = self.labelled_scenes(n, generator)
        return x, (y.flatten(1).amax(1) - 1).clamp(min=0)

    def draw(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Return one picture (n, 3, size, size) of each class id (n,)."""
        chance = torch.rand(len(ids), generator=generator, device=generator.device).tolist()
        held = [self._shows[i] for i in ids.tolist()]
        return self._x[[shown[int(c * len(shown))] for c, shown in zip(chance, held, strict=True)]]

    def originals(self, split: Split) -> dict[str, list[bytes]]:
        """Map each class of ``split`` to digests of the pictures that show it."""
        return {self._names[i]: digests(self._x[self._shows[i]]) for i in self._splits.get(split, [])}


def annotated_source(
    path: Path | str,
    size: int | None,
    target: Target,
    device: torch.device | str = "cpu",
    test_only: bool = False,
    leave_out: bool = False,
) -> AnnotatedSource:
    """Return the annotated pictures in ``path`` as a source; raises :class:`DataError`.

    ``size`` None: the one that fits the typical object (:func:`metalab.data.fitting.fitting_size`).
    ``leave_out``: go on without what cannot be used, see :func:`read_annotated`.
    """
    held = read_annotated(path, target=target, leave_out=leave_out)
    pictures = [picture for picture in held.pictures if picture.instances]
    if not pictures:
        raise DataError("no picture shows an object", where=path, fix="Annotate some objects")
    if size is None:
        size = fitting_size(pictures, held.classes)
    notes = [*held.notes, *unseen(pictures, held.classes, size, target)]
    return AnnotatedSource(pictures, size, target, device, test_only, notes)


def _fitted(image: np.ndarray, size: int) -> Tensor:
    return resize(torch.from_numpy(np.array(image)).movedim(2, 0)[None].float() / 255, size)


def _filled(boxes: Tensor, size: int) -> Tensor:
    """Return (n, size, size): 1 + the class of the box at each pixel, the smallest where several are."""
    place = torch.arange(size, device=boxes.device) + 0.5
    number, x1, y1, x2, y2 = (boxes[..., i, None, None] for i in range(5))
    inside = (place >= x1) & (place <= x2) & (place[:, None] >= y1) & (place[:, None] <= y2) & (number >= 0)
    area = torch.where(inside, (x2 - x1) * (y2 - y1), torch.inf)
    first = area.argmin(1, keepdim=True)
    owner = number.expand_as(area).gather(1, first)[:, 0].long() + 1
    return torch.where(inside.any(1), owner, 0)
