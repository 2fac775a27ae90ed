"""What the demo shows: one task before any example, before and after adaptation, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from metalab.baselines import BASELINES
from metalab.errors import CheckpointError
from metalab.inspection import Stage, TaskView, inspect_task
from metalab.shipped import Trained, shipped, shipped_evaluation
from metalab.tasks import Examples, Task, TaskShape, TaskSource, task_at

PREFERRED = "film"
"""The model whose features visibly follow the task; any other shipped one will do."""
SHAPE = TaskShape(way=5, shot=1, query=15)
CLEARLY = 0.08
"""So much below the average a task is called a hard one."""
PLAIN_WORDS = {
    "un-adapted": "Guessing",
    "from-scratch": "Learning from the five examples alone",
    "logistic-regression": "Ready-made features, compared simply",
}
"""Baselines that the demo names, without jargon."""


@dataclass(frozen=True)
class Demonstration:
    """``view`` has the task before and after; ``guess`` is the untouched model, which saw no example."""

    view: TaskView
    guess: Stage


def demo_model() -> str:
    """Return the name of the shipped model that the demo uses. Raises :class:`CheckpointError`."""
    found = shipped()
    if not found:
        raise CheckpointError(
            "this copy of metalab has no model", where="demo", fix="Train one: Tasks, Train"
        )
    return PREFERRED if PREFERRED in found else next(iter(found))


def demonstrate(model: Trained, source: TaskSource, number: int) -> Demonstration:
    """Adapt ``model`` to held-out task ``number`` of ``source``. Raises :class:`DataError`."""
    task = task_at(source, number, "test", SHAPE, seed=1)
    names = source.class_names("test")
    view = inspect_task(model.metalearner, model.pretrained, task, [names[int(i)] for i in task.classes])
    return Demonstration(view, _guess(model, task, number))


def _guess(model: Trained, task: Task, number: int) -> Stage:
    make = next(make for name, _, make in BASELINES if name == "un-adapted")
    with torch.no_grad():
        logits = make(model.pretrained)(task, number)
        both = Examples.joined(task.support, task.query)
        features = model.pretrained(both.x).float().cpu().numpy()
    right = (logits.argmax(1) == task.query.y).float().mean().item()
    return Stage("untouched", features, F.softmax(logits, 1).float().cpu().numpy(), right)


def easier_average(name: str, accuracy: float) -> float | None:
    """Return what shipped model ``name`` gets on average if ``accuracy``, on one task, is clearly below."""
    rows = (shipped_evaluation() or {"rows": []})["rows"]
    average = next((row["accuracy"] for row in rows if row["method"] == name), None)
    return average if average is not None and accuracy < average - CLEARLY else None


def certainty(name: str) -> tuple[list[dict[str, Any]], int]:
    """Return rows (``label``, ``accuracy``, ``interval``, ``own``), worst first, and the number of tasks.

    Model ``name`` and the baselines that :data:`PLAIN_WORDS` names, from the shipped evaluation; empty
    without one.
    """
    table = shipped_evaluation()
    if table is None:
        return [], 0
    words = {**PLAIN_WORDS, name: "metalab, which has learnt to learn"}
    rows = [
        {
            "label": words[row["method"]],
            "accuracy": row["accuracy"],
            "interval": row["interval"],
            "own": row["method"] == name,
        }
        for row in table["rows"]
        if row["method"] in words
    ]
    return sorted(rows, key=lambda row: row["accuracy"]), table["rows"][0]["tasks"]
