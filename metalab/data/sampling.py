"""Vectorised choice of classes and examples: shared by every source of images."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from metalab.errors import DataError
from metalab.tasks import Examples, TaskBatch, TaskShape


def choose_classes(groups: list[Tensor], n_tasks: int, way: int, generator: torch.Generator) -> Tensor:
    """Draw ``way`` distinct classes per task, all from one group; returns class ids (n_tasks, way).

    ``groups`` holds the class ids of each group; groups with fewer than ``way`` classes are left out.
    A group is drawn in proportion to its number of classes. Raises :class:`DataError` if none is left.
    """
    device = generator.device
    usable = [group for group in groups if len(group) >= way]
    if not usable:
        largest = max((len(group) for group in groups), default=0)
        raise DataError(
            f"{way}-way tasks need a group of {way} classes, the largest here has {largest}",
            where="way",
            fix=f"Use a way of at most {largest}, or mixed episodes",
        )
    sizes = torch.tensor([len(group) for group in usable], dtype=torch.float, device=device)
    members = torch.full((len(usable), int(sizes.max())), -1, dtype=torch.long, device=device)
    for row, group in enumerate(usable):
        members[row, : len(group)] = group.to(device)
    chosen = torch.multinomial(sizes, n_tasks, replacement=True, generator=generator)
    rows = members[chosen]
    keys = torch.rand(rows.shape, device=device, generator=generator).masked_fill(rows < 0, -1)
    return rows.gather(1, keys.topk(way, dim=1).indices)


def episode(images: Tensor, classes: Tensor, shape: TaskShape) -> TaskBatch:
    """Split drawings (n_tasks, way, shot + query, C, H, W) into support and query, class after class."""
    n_tasks, way = images.shape[:2]
    labels = torch.arange(way, device=images.device).view(1, way, 1).expand(n_tasks, way, images.shape[2])
    support, query = images[:, :, : shape.shot], images[:, :, shape.shot :]
    return TaskBatch(
        Examples(support.flatten(1, 2), labels[:, :, : shape.shot].flatten(1)),
        Examples(query.flatten(1, 2), labels[:, :, shape.shot :].flatten(1)),
        way,
        classes,
    )


def largest_way(groups: dict[str, list[int]], episodes: str) -> int:
    """Return the most classes that a task can have: those of the largest group, or, mixed, of all."""
    sizes = [len(ids) for ids in groups.values()]
    return sum(sizes) if episodes == "mixed" else max(sizes, default=0)


def check_groups(groups: dict[str, list[int]], way: int, where: str, episodes: str) -> None:
    """Raise :class:`DataError` unless some group (or, mixed, all together) can form ``way``-way tasks."""
    largest = largest_way(groups, episodes)
    if largest < way:
        raise DataError(
            f"{way}-way tasks need {way} classes to choose from, the largest group has {largest}",
            where=where,
            fix=f"Set the way to at most {largest}, or episodes to 'mixed'"
            if largest >= 2
            else "Add classes",
        )


def digests(images: Tensor) -> list[bytes]:
    """Return a digest of the content of each of ``images`` (n, ...), for finding the same one elsewhere."""
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images.cpu().numpy()]
