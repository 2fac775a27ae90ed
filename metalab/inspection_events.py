"""Look into recommendation: held-out users (or campaigns) as points, before and after adaptation."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metalab.applications import application
from metalab.backbones.entities import Entities
from metalab.data.event_source import EventSource
from metalab.evaluation import TEST_SEED
from metalab.inspection import BEFORE, TaskView, as_stages
from metalab.metalearners.recommending import Recommending
from metalab.tasks import Task, TaskShape, task_list

TASKS = 240
"""Looked at; half of them lend their colours' means to judge the other half by."""
GROUPS = 8
"""Colours, at most."""
OTHER = "other"


@torch.no_grad()
def inspect_events(
    metalearner: Recommending, pretrained: Entities, source: EventSource, shape: TaskShape
) -> TaskView:
    """Adapt to :data:`TASKS` held-out tasks and look at each before and after.

    A point is a task: before, the frozen features of its support events, weighed by how they turned out;
    after, its adapted head. Colours are :func:`tastes`. A stage's accuracy is the application's metric,
    un-adapted and adapted; its probabilities say how near a task is to the mean of each colour.
    """
    count = min(TASKS, len(source.eligible("test", shape.shot)))
    tasks = [task for batch in task_list(source, count, "test", shape, TEST_SEED) for task in batch]
    started = time.perf_counter()
    states = [metalearner.adapt(task.support, 1) for task in tasks]
    seconds = (time.perf_counter() - started) / len(tasks)
    numbers = np.array([int(task.classes[0]) for task in tasks])
    labels, names = tastes(source, numbers)
    judge = application(metalearner.application).judge
    unknown = metalearner.prior()
    found = []
    for name, rows, held in (
        (BEFORE, [_weighed(pretrained, task) for task in tasks], [unknown] * len(tasks)),
        ("adapted", [state["head"] for state in states], states),
    ):
        scores = [
            float(judge(metalearner.predict(state, task.query.x), task.query))
            for state, task in zip(held, tasks, strict=True)
        ]
        points = torch.stack(rows)
        found.append((name, points, _nearness(points, labels, len(names)), float(np.mean(scores))))
    return TaskView(
        np.zeros((len(tasks), 1, 1, 1), dtype=np.float32),
        labels,
        np.arange(len(tasks)) < len(tasks) // 2,
        names,
        as_stages(found),
        seconds,
        captions=[source.class_name(int(number)) for number in numbers],
    )


def tastes(source: EventSource, tasks: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
    """Return the colour of each task (n,) and the colours' names.

    Of campaigns what they are of, the first of their own yes-or-no features; of users the yes-or-no feature
    of products whose outcomes are highest against the user's mean, shrunk, over all that they did.
    """
    events = source.events
    if (own := _flags(events.task_features)).size:
        first = events.entity_features.shape[1]
        found = own[events.task_features[tasks][:, own].argmax(1)]
        chosen = [events.feature_names[first + i] for i in found]
    else:
        flags = _flags(events.entity_features)
        chosen = (
            [OTHER] * len(tasks) if not flags.size else [_favourite(source, int(i), flags) for i in tasks]
        )
    held, counts = np.unique(chosen, return_counts=True)
    names = sorted(held[np.argsort(-counts)][:GROUPS].tolist())
    if len(held) > GROUPS and OTHER not in names:
        names = [*names, OTHER]
    return np.array([names.index(one) if one in names else len(names) - 1 for one in chosen]), names


def _favourite(source: EventSource, task: int, flags: NDArray[np.int64]) -> str:
    events, rows = source.events, source.events.rows(task)
    member = events.entity_features[events.entity[rows]][:, flags]
    left = events.outcome[rows] - events.outcome[rows].mean()
    liking = (left @ member) / (member.sum(0) + 5)
    return events.feature_names[flags[int(liking.argmax())]]


def kinds_of(source: EventSource, entities: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the kind of each of ``entities`` (n,): the first yes-or-no feature that it has, -1 for none."""
    flags = _flags(source.events.entity_features)
    if not flags.size:
        return np.full(len(entities), -1)
    member = source.events.entity_features[entities][:, flags] > 0
    return np.where(member.any(1), member.argmax(1), -1)


def _flags(features: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the columns that hold 0 and 1 alone, and both."""
    if not len(features):
        return np.zeros(0, dtype=np.int64)
    plain = ((features == 0) | (features == 1)).all(0) & (features.min(0) < features.max(0))
    return np.flatnonzero(plain)


def _weighed(pretrained: Entities, task: Task) -> Tensor:
    """Return the mean of the support events' features, each times its outcome less their mean."""
    weights = task.support.weights()
    left = task.support.y[:, 0] - (task.support.y[:, 0] * weights).sum() / weights.sum()
    return pretrained.with_one(pretrained(task.support.x)).t() @ (left * weights) / weights.sum()


def _nearness(points: Tensor, labels: NDArray[np.int64], colours: int) -> Tensor:
    """Return probabilities (second half, colours) by the distance to the means of the first half's."""
    half = len(points) // 2
    scaled = points / points.std(0).clamp(min=1e-6)
    known = torch.from_numpy(labels[:half])
    means = torch.stack(
        [
            scaled[:half][known == colour].mean(0) if (known == colour).any() else scaled[:half].mean(0)
            for colour in range(colours)
        ]
    )
    return (-torch.cdist(scaled[half:], means)).softmax(1)
