"""Look into a task of pictures: places on a coarse grid as points, before and after adaptation."""

from __future__ import annotations

import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.backbones import Backbone
from metalab.baselines_dense import BOX_BASELINES, MASK_BASELINES
from metalab.boxes import box_targets
from metalab.inspection import BACKGROUND, BEFORE, MAX_STAGES, Stage, TaskView
from metalab.metalearners import MetaLearner
from metalab.metalearners.base import score
from metalab.metalearners.guided import mask_shares
from metalab.tasks import Examples, Task, seeded
from metalab.threads import one_thread

STEP = 4
"""Pixels between places."""
CROP = 24
"""Side of the crop that shows a place."""
PLACES = 240
"""Looked at in the support set, and as many in the query set, at most."""
LEAST_INSIDE = 0.2
"""Places nearer to a box's edge than this belong to nothing: corners of a box mostly show the ground."""


@one_thread()
@torch.no_grad()
def inspect_pictures(
    metalearner: MetaLearner, pretrained: Backbone, task: Task, classes: list[str]
) -> TaskView:
    """Adapt to ``task`` and look at every stage, as :func:`metalab.inspection.inspect_task` does.

    An example is a place, as many of the ground and of each class as possible: its image the crop around it,
    its label a number in [BACKGROUND, *classes]. A stage's accuracy is the task's score (mean IoU or AP50).
    """
    started = time.perf_counter()
    state = metalearner.adapt(task.support, task.way)
    metalearner.predict(state, task.query.x)
    seconds = time.perf_counter() - started

    parts = [_sampled(part, task.way, name) for name, part in _parts(task)]
    baselines = MASK_BASELINES if metalearner.application == "segmentation" else BOX_BASELINES
    nearest = next(make for name, _, make in baselines if name == "nearest-centroid")
    found = [(BEFORE, _rows(pretrained, None, task, parts), nearest(pretrained)(task, 0))]
    path = list(metalearner.path(task.support, task.way).items())
    for i in np.linspace(0, len(path) - 1, min(len(path), MAX_STAGES)).round().astype(int):
        name, state = path[i]
        rows = _rows(metalearner, state, task, parts)
        found.append((name, rows, metalearner.predict(state, task.query.x)))
    # A decoder that runs once a class has several times as many features. Zeros change no distance.
    width = max(rows.shape[1] for _, rows, _ in found)
    stages = [
        Stage(
            name,
            F.pad(rows, (0, width - rows.shape[1])).float().cpu().numpy(),
            _chances(outputs)[parts[1][0]].float().cpu().numpy(),
            float(score(outputs, task.query)),
        )
        for name, rows, outputs in found
    ]
    images = torch.cat(
        [_crops(part.x, where) for (_, part), (where, _) in zip(_parts(task), parts, strict=True)]
    )
    labels = torch.cat([labels for _, labels in parts]).cpu().numpy()
    return TaskView(
        images.float().cpu().numpy(),
        labels,
        np.arange(len(labels)) < len(parts[0][1]),
        [BACKGROUND, *classes],
        stages,
        seconds,
    )


def place_labels(part: Examples, way: int) -> Tensor:
    """Return what is at each place (n, height / 4, width / 4): 0 the ground, 1 + the class, -1 not known."""
    height, width = (side // STEP for side in part.x.shape[2:])
    if part.y.is_floating_point():
        inside = box_targets(part.y, way, height, width)[0]
        best, number = inside.max(1)
        return torch.where(best > LEAST_INSIDE, number + 1, torch.where(best > 0, -1, 0))
    shares = mask_shares(part.y, way, (height, width))
    best, number = shares.max(1)
    return torch.where(best > 0.5, number, -1)


def _parts(task: Task) -> list[tuple[str, Examples]]:
    return [("support", task.support), ("query", task.query)]


def _sampled(part: Examples, way: int, name: str) -> tuple[Tensor, Tensor]:
    """Return the places (count,) that are looked at, counted through all pictures, and their labels."""
    labels = place_labels(part, way).flatten()
    generator = seeded("cpu", 0, name)
    chosen = []
    for number in range(way + 1):
        held = (labels == number).nonzero()[:, 0]
        order = torch.randperm(len(held), generator=generator)[: PLACES // (way + 1)]
        chosen.append(held[order.to(held.device)])
    where = torch.cat(chosen)
    return where, labels[where]


def _rows(model: MetaLearner | Backbone, state: dict[str, Tensor] | None, task: Task, parts: list) -> Tensor:
    """Return the features (points, d) of the places of ``parts``, picture by picture to bound the memory."""
    found = []
    for (_, part), (where, _) in zip(_parts(task), parts, strict=True):
        maps = []
        for x in part.x.split(1):
            features = model(x) if state is None else model.features(state, x)
            maps.append(_on_grid(features, *x.shape[2:]))
        found.append(torch.cat(maps)[where])
    return torch.cat(found)


def _on_grid(features: Tensor, height: int, width: int) -> Tensor:
    """Return pixel features of one picture, at 1/2 or 1/4 of its sides, as those of the places."""
    finer = round((len(features) * STEP**2 / (height * width)) ** 0.5)
    if finer == 1:
        return features
    maps = features.t().reshape(1, -1, finer * height // STEP, finer * width // STEP)
    return F.avg_pool2d(maps, finer)[0].flatten(1).t()


def _chances(outputs: Tensor) -> Tensor:
    """Return probabilities (places, 1 + way), the ground first, from the outputs for the query set."""
    if outputs.ndim == 4:
        found = F.avg_pool2d(outputs.softmax(1), STEP)
    else:
        scores = outputs[:, :, 0].sigmoid()
        found = torch.cat([(1 - scores).prod(1, keepdim=True), scores], 1)
        found = found / found.sum(1, keepdim=True).clamp(min=1e-9)
    return found.permute(0, 2, 3, 1).flatten(0, 2)


def _crops(x: Tensor, where: Tensor) -> Tensor:
    """Return the crops (count, C, 24, 24) around places of pictures ``x`` (n, C, height, width)."""
    across, down = x.shape[3] // STEP, x.shape[2] // STEP
    padded = F.pad(x, [CROP // 2] * 4, mode="replicate")
    cut = []
    for place in where.tolist():
        number, rest = divmod(place, down * across)
        top, left = (STEP * one + STEP // 2 for one in divmod(rest, across))
        cut.append(padded[number, :, top : top + CROP, left : left + CROP])
    return torch.stack(cut) if cut else x.new_zeros(0, x.shape[1], CROP, CROP)
