"""What tables of held-out tasks share: methods trained alike, compared on the very same tasks."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metalab.adaptation import describe, rebuild
from metalab.api import create_metalearner
from metalab.backbones import Backbone
from metalab.checkpoints import load_checkpoint, save_checkpoint
from metalab.config import Config
from metalab.errors import CheckpointError, ConfigError
from metalab.evaluation import (
    Evaluation,
    Measured,
    least_gain,
    mean_interval,
    measure,
    tabulate,
)
from metalab.metalearners import MetaLearner
from metalab.progress import Progress
from metalab.tasks import Examples, Split, TaskShape, TaskSource
from metalab.training import Trainer

Scores = Callable[[Tensor, Examples], dict[str, float]]
"""What is measured of outputs and query examples; the first is the application's metric."""
Further = dict[str, dict[str, tuple[float, float]]]
"""Of further scores: mean and half the 95 % interval by method."""


def compare(
    methods: Mapping[str, Measured],
    source: TaskSource,
    shape: TaskShape,
    tasks: int,
    slow_tasks: int,
    slow: Collection[str],
    metric: Scores,
    split: Split = "test",
) -> tuple[Evaluation, Further]:
    """Return the table of ``methods``; ``slow`` ones see the first tasks of the list alone."""
    names: list[str] = []

    def judge(outputs: Tensor, query: Examples) -> Tensor:
        held = metric(outputs, query)
        names[:] = held
        return torch.tensor(list(held.values()), dtype=torch.float64)

    values: dict[str, np.ndarray] = {}
    for number, chosen in ((tasks, False), (min(tasks, slow_tasks), True)):
        part: dict[str, Measured] = {name: one for name, one in methods.items() if (name in slow) is chosen}
        for item in measure(part, source, shape, number, split, torch.device("cpu"), judge) if part else ():
            if not isinstance(item, Progress):
                values |= item
    further = {
        score: {name: mean_interval(held[:, at]) for name, held in values.items()}
        for at, score in enumerate(names)
        if at
    }
    first = {name: held[:, 0] for name, held in values.items()}
    return tabulate(methods, first, shape, split, names[0]), further


def trained(
    config: Config, pretrained: Backbone, source: TaskSource, keep: Path | None = None
) -> MetaLearner:
    """Return the meta-learner of ``config`` meta-trained on ``source`` from ``pretrained``.

    With ``keep``, a folder, it is written there, and read when it is there already. Raises
    :class:`CheckpointError` if what is there was trained by another configuration.
    """
    path = keep / f"{config.metalearner}.safetensors" if keep is not None else None
    if path is not None and path.is_file():
        tensors, meta = load_checkpoint(path, "metalearner")
        if meta["config"] != config.model_dump(mode="json"):
            raise CheckpointError("was trained by another configuration", where=path, fix="Keep apart")
        return rebuild(meta, tensors, path)
    trainable = copy.deepcopy(pretrained).requires_grad_(True)
    learner = create_metalearner(config.metalearner, trainable, seed=config.seed, **config.options)
    for item in Trainer(learner, source, config).run():
        if item.kind == "validation":
            print(f"{config.metalearner}, step {item.step}: {item.accuracy:.1%}", file=sys.stderr, flush=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = {"config": config.model_dump(mode="json"), **describe(learner)}
        save_checkpoint(path, "metalearner", learner.state_dict(), meta)
    return learner


def check_names(flags: Mapping[str, tuple[Collection[str], Collection[str]]]) -> None:
    """Raise :class:`ConfigError` for a flag of which a value (first) is none of those known (second)."""
    for flag, (given, of) in flags.items():
        if unknown := set(given) - set(of):
            raise ConfigError(
                f"unknown: {', '.join(sorted(unknown))}", where=flag, fix=f"Known: {', '.join(of)}"
            )


def text(title: str, table: Evaluation, further: Further, gains: bool = False) -> str:
    """Return the table in plain text, in %; with ``gains`` also the difference to the best baseline."""
    rows = sorted(table.rows, key=lambda row: -row.accuracy)
    columns = [["", *(row.label for row in rows)]]
    values = {table.metric: {row.method: (row.accuracy, row.interval) for row in rows}, **further}
    for score, held in values.items():
        columns.append([score, *(percent(*held[row.method]) for row in rows)])
    if gains:
        against = [least_gain(table.as_dict(), row.method) for row in rows]
        held = ["" if one is None else percent(one["difference"], one["interval"], "+") for one in against]
        columns.append(["to best baseline", *held])
    columns.append(["tasks", *(str(row.tasks) for row in rows)])
    return "\n".join([f"{title}, in %", *aligned(columns), table.verdict])


def percent(mean: float, interval: float, sign: str = "") -> str:
    """Return e.g. "41.0 ± 2.3"."""
    return f"{100 * mean:{sign}.1f} ± {100 * interval:.1f}"


def aligned(columns: list[list[str]]) -> list[str]:
    """Return the lines of a table of ``columns``, the first to the left, others to the right."""
    widths = [max(map(len, column)) for column in columns]
    return [
        "  " + "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])])
        for cells in zip(*columns, strict=True)
    ]
