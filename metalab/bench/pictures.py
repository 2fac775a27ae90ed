"""Masks and boxes: every method and baseline on the same held-out tasks of new objects, 1- and 5-way."""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
import torch

from metalab.api import create_metalearner
from metalab.applications import application
from metalab.backbones import Backbone
from metalab.config import Config
from metalab.data import create_source
from metalab.errors import ConfigError
from metalab.evaluation import Evaluation, Measured, measure, methods_of, tabulate
from metalab.metalearners import MetaLearner, metalearners
from metalab.progress import Progress
from metalab.shipped import load_trained, shipped
from metalab.tasks import TaskShape, TaskSource
from metalab.training import Trainer

SHAPES = (TaskShape(1, 1, 5), TaskShape(1, 5, 5), TaskShape(5, 1, 2), TaskShape(5, 5, 2))
TASKS = {"segmentation": 600, "detection": 200}
SLOW = ("from-scratch", "pixel-maml")
"""Methods of which a task costs seconds: they are measured on the first tasks of the list alone."""
SLOW_TASKS = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("application", choices=list(TASKS))
    parser.add_argument(
        "--steps", type=int, default=0, help="meta-train the other methods for so many steps too (default: 0)"
    )
    parser.add_argument("--only", nargs="+", help="those other methods (default: all but MAML)")
    parser.add_argument("--tasks", type=int, help="held-out tasks (default: 600, of detection 200)")
    parser.add_argument("--slow-tasks", type=int, default=SLOW_TASKS, help="of methods that take seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object a table")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    known = metalearners(arguments.application)
    if unknown := set(arguments.only or ()) - set(known):
        raise ConfigError(
            f"unknown: {', '.join(sorted(unknown))}", where="--only", fix=f"Known: {', '.join(known)}"
        )
    names = arguments.only or [name for name in known if name not in SLOW]
    trained = {name: load_trained(name) for name in shipped(arguments.application)}
    if not trained:
        raise ConfigError("nothing is shipped for it yet", where=arguments.application, fix="Run ship first")
    first = next(iter(trained.values()))
    source, learners = create_source(first.config), {n: one.metalearner for n, one in trained.items()}
    for name in names if arguments.steps else ():
        if name not in learners:
            learners[name] = _trained(name, first.pretrained, source, arguments)
    for shape in SHAPES:
        tasks = arguments.tasks or TASKS[arguments.application]
        started = time.monotonic()
        table = compare(learners, first.pretrained, source, shape, tasks, arguments.slow_tasks)
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
        print(
            json.dumps(table.as_dict()) if arguments.json else _text(table, arguments.application), flush=True
        )
    return 0


def compare(
    learners: dict[str, MetaLearner],
    pretrained: Backbone,
    source: TaskSource,
    shape: TaskShape,
    tasks: int,
    slow_tasks: int,
) -> Evaluation:
    """Return the table of ``learners`` and all baselines; slow methods see the first tasks of the list."""
    methods = methods_of(learners, pretrained)
    values: dict[str, np.ndarray] = {}
    for number, chosen in ((tasks, False), (min(tasks, slow_tasks), True)):
        part: dict[str, Measured] = {name: one for name, one in methods.items() if (name in SLOW) is chosen}
        for item in measure(part, source, shape, number, "test", torch.device("cpu")) if part else ():
            if not isinstance(item, Progress):
                values |= item
    metric = application(next(iter(learners.values())).application).metric
    return tabulate(methods, values, shape, "test", metric)


def _trained(
    name: str, pretrained: Backbone, source: TaskSource, arguments: argparse.Namespace
) -> MetaLearner:
    config = Config.create(
        application=arguments.application, metalearner=name, steps=arguments.steps, seed=arguments.seed
    )
    learner = create_metalearner(name, pretrained, seed=arguments.seed)
    learner.requires_grad_(True)
    for _ in Trainer(learner, source, config).run():
        pass
    print(f"{name}: meta-trained for {arguments.steps} steps", file=sys.stderr, flush=True)
    return learner


def _text(table: Evaluation, name: str) -> str:
    rows = sorted(table.rows, key=lambda row: -row.accuracy)
    width = max(len(row.label) for row in rows)
    lines = [
        f"  {row.label:<{width}}  {100 * row.accuracy:5.1f} ± {100 * row.interval:.1f}  ({row.tasks} tasks)"
        for row in rows
    ]
    return "\n".join(
        [f"{name}, {table.way}-way {table.shot}-shot, {table.metric} in %", *lines, table.verdict]
    )
