"""Masks and boxes: every method and baseline on the same held-out tasks of new objects, 1- and 5-way."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metalab.api import create_metalearner
from metalab.applications import application
from metalab.baselines import Method
from metalab.bench.photo_tasks import CropSource, StampScenes, labelled_photos
from metalab.config import Config
from metalab.data import TARGETS, create_source
from metalab.errors import ConfigError
from metalab.evaluation import Evaluation, Measured, mean_interval, measure, methods_of, tabulate
from metalab.metalearners import MetaLearner, metalearners
from metalab.metrics import coco_scores, mask_scores
from metalab.picture_choice import best, candidates, tried
from metalab.progress import Progress
from metalab.shipped import Trained, load_trained, shipped
from metalab.tasks import Examples, Split, Task, TaskShape, TaskSource
from metalab.training import Trainer

SHAPES = ("1-1", "1-5", "5-1", "5-5")
TASKS = {"segmentation": 600, "detection": 200}
SCORES = {"segmentation": mask_scores, "detection": coco_scores}
"""What is measured of the same outputs; the first is the application's metric."""
SLOW = ("from-scratch", "pixel-maml")
"""Methods of which a task costs seconds: they are measured on the first tasks of the list alone."""
SLOW_TASKS = 50
CHOSEN = "chosen", "Chosen on the labelled pictures"
"""Name and label of what ``adapt`` and the page do unless told otherwise."""
FROZEN = "Frozen features"
"""Begins the labels of those baselines that depend on the backbone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("application", choices=list(TASKS))
    parser.add_argument(
        "--steps", type=int, default=0, help="meta-train the other methods for so many steps too (default: 0)"
    )
    parser.add_argument("--only", nargs="+", help="those other methods (default: all but MAML)")
    parser.add_argument("--tasks", type=int, help="held-out tasks (default: 600, of detection 200)")
    parser.add_argument(
        "--slow", nargs="+", default=SLOW, metavar="METHOD", help=f"slow methods (default: {' '.join(SLOW)})"
    )
    parser.add_argument(
        "--slow-tasks", type=int, default=SLOW_TASKS, help=f"of slow methods (default: {SLOW_TASKS})"
    )
    parser.add_argument(
        "--shapes", nargs="+", default=SHAPES, metavar="WAY-SHOT", help=f"default: {' '.join(SHAPES)}"
    )
    parser.add_argument(
        "--backbones", nargs="+", help="shipped models on these, and baselines on each (default: all)"
    )
    parser.add_argument(
        "--photos", action="store_true", help="tasks in labelled photographs of scikit-image, one table each"
    )
    parser.add_argument(
        "--stamps", type=Path, help="scenes of Debian's tuxpaint-stamps-default, photographed objects"
    )
    parser.add_argument("--validation", action="store_true", help="measure on meta-validation, to choose by")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object a table")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    known = metalearners(arguments.application)
    baselines = [name for name, *_ in application(arguments.application).baselines]
    for flag, given, of in (
        ("--only", arguments.only or (), list(known)),
        ("--slow", set(arguments.slow) - set(SLOW), [*known, *baselines, CHOSEN[0]]),
    ):
        if unknown := set(given) - set(of):
            raise ConfigError(
                f"unknown: {', '.join(sorted(unknown))}", where=flag, fix=f"Known: {', '.join(of)}"
            )
    shapes = [shape_of(text) for text in arguments.shapes]
    tasks = TASKS[arguments.application] if arguments.tasks is None else arguments.tasks
    if min(tasks, arguments.slow_tasks) < 2:
        raise ConfigError("an interval needs at least two tasks", where="--tasks, --slow-tasks")
    if arguments.validation and (arguments.stamps or arguments.photos):
        raise ConfigError("photographs are all held out", where="--validation", fix="Leave one of them away")
    names = arguments.only or [name for name in known if name not in SLOW]
    known_backbones = application(arguments.application).backbones
    if unknown := set(arguments.backbones or ()) - set(known_backbones):
        raise ConfigError(
            f"unknown: {', '.join(sorted(unknown))}",
            where="--backbones",
            fix=f"Known: {', '.join(known_backbones)}",
        )
    held = {
        name: load_trained(name)
        for name, one in shipped(arguments.application).items()
        if one.config.backbone in (arguments.backbones or known_backbones)
    }
    if not held:
        raise ConfigError("nothing is shipped for it yet", where=arguments.application, fix="Run ship first")
    first = next(iter(held.values()))
    split: Split = "validation" if arguments.validation else "test"
    places = dict(_places(arguments, first.config))
    for source in places.values():
        for shape in shapes:  # before minutes of training
            source.check(shape, split)
    for name in names if arguments.steps else ():
        if name not in held:
            learner = _trained(name, first, arguments)
            held[name] = replace(first, metalearner=learner)
    methods = methods_on(held)
    if not arguments.backbones:
        name, label = CHOSEN
        methods[name] = Measured(label, "metalearner", False, choosing(arguments.application))
    for place, source in places.items():
        for shape in shapes:
            started = time.monotonic()
            table, further = compare(
                methods, source, shape, tasks, arguments.slow_tasks, arguments.slow, split
            )
            print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
            if arguments.json:
                print(json.dumps({"place": place, **table.as_dict(), "further": further}), flush=True)
            else:
                print(_text(table, further, f"{arguments.application}{place and f', {place}'}"), flush=True)
    return 0


def _places(arguments: argparse.Namespace, config: Config) -> Iterator[tuple[str, TaskSource]]:
    """Yield where tasks come from: the name of the place, empty for the composed scenes, and its source."""
    target = TARGETS[arguments.application]
    if arguments.stamps:
        yield "photographed objects", StampScenes(arguments.stamps, config.image_size, target)
    if arguments.photos:
        for name, photo in labelled_photos().items():
            if photo.things or target == "masks":
                yield f"photo of {name}", CropSource(photo, target)
    if not arguments.stamps and not arguments.photos:
        yield "", create_source(config)


def methods_on(held: dict[str, Trained]) -> dict[str, Measured]:
    """Return the meta-learners of ``held`` and the baselines on each backbone; those on another backbone
    than the first are named so."""
    found: dict[str, Measured] = {}
    own = next(iter(held.values())).config.backbone
    for backbone in dict.fromkeys(one.config.backbone for one in held.values()):
        of = {name: one for name, one in held.items() if one.config.backbone == backbone}
        pretrained = next(iter(of.values())).pretrained
        for name, one in methods_of({n: t.metalearner for n, t in of.items()}, pretrained).items():
            if backbone == own:
                found[name] = one
            elif one.kind == "metalearner":
                found[name] = replace(one, label=f"{one.label}, {backbone}")
            elif one.label.startswith(FROZEN):
                found[f"{name}, {backbone}"] = replace(one, label=f"{one.label}, {backbone}")
    return found


def choosing(of: str) -> Method:
    """Return the method that tries the ready models on the support set, and adapts the best one to it."""
    learners = {name: one.metalearner for name, one in candidates(of).items()}

    def method(task: Task, number: int) -> Tensor:
        learner = learners[best(learners, tried(learners, task.support, task.way))]
        return learner.predict(learner.adapt(task.support, task.way), task.query.x)

    return method


def shape_of(text: str) -> TaskShape:
    """Return the shape that ``text`` names, "WAY-SHOT", with 5 query pictures or 2 a class."""
    way, _, shot = text.partition("-")
    if not (way.isdecimal() and shot.isdecimal() and int(way) and int(shot)):
        raise ConfigError(f"not WAY-SHOT: {text!r}", where="--shapes", fix="Write 5-1 for 5-way 1-shot")
    return TaskShape(int(way), int(shot), max(2, 5 // int(way)))


def compare(
    methods: dict[str, Measured],
    source: TaskSource,
    shape: TaskShape,
    tasks: int,
    slow_tasks: int,
    slow: Collection[str],
    split: Split = "test",
) -> tuple[Evaluation, dict[str, dict[str, tuple[float, float]]]]:
    """Return the table of ``methods``; ``slow`` ones, on whichever backbone, see the first tasks alone.

    Beside it, of the application's further scores: mean and half the 95 % interval by method.
    """
    of = next(name for name, target in TARGETS.items() if target == source.target)
    names: list[str] = []

    def judge(outputs: Tensor, query: Examples) -> Tensor:
        scores = SCORES[of](outputs, query.y)
        names[:] = scores
        return torch.tensor(list(scores.values()), dtype=torch.float64)

    values: dict[str, np.ndarray] = {}
    for number, chosen in ((tasks, False), (min(tasks, slow_tasks), True)):
        part: dict[str, Measured] = {
            name: one for name, one in methods.items() if (name.split(",")[0] in slow) is chosen
        }
        for item in measure(part, source, shape, number, split, torch.device("cpu"), judge) if part else ():
            if not isinstance(item, Progress):
                values |= item
    further = {
        score: {name: mean_interval(held[:, at]) for name, held in values.items()}
        for at, score in enumerate(names)
        if at
    }
    first = {name: held[:, 0] for name, held in values.items()}
    return tabulate(methods, first, shape, split, application(of).metric), further


def _trained(name: str, first: Trained, arguments: argparse.Namespace) -> MetaLearner:
    config = Config.create(
        application=arguments.application,
        metalearner=name,
        backbone=first.config.backbone,
        steps=arguments.steps,
        seed=arguments.seed,
    )
    learner = create_metalearner(name, first.pretrained, seed=arguments.seed)
    learner.requires_grad_(True)
    for _ in Trainer(learner, create_source(config), config).run():
        pass
    print(f"{name}: meta-trained for {arguments.steps} steps", file=sys.stderr, flush=True)
    return learner


def _text(table: Evaluation, further: dict[str, dict[str, tuple[float, float]]], name: str) -> str:
    rows = sorted(table.rows, key=lambda row: -row.accuracy)
    columns = [["", *(row.label for row in rows)]]
    values = {table.metric: {row.method: (row.accuracy, row.interval) for row in rows}, **further}
    for score, held in values.items():
        cells = [
            f"{100 * mean:.1f} ± {100 * interval:.1f}"
            for mean, interval in (held[row.method] for row in rows)
        ]
        columns.append([score, *cells])
    columns.append(["tasks", *(str(row.tasks) for row in rows)])
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  " + "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])])
        for cells in zip(*columns, strict=True)
    ]
    return "\n".join([f"{name}, {table.way}-way {table.shot}-shot, in %", *lines, table.verdict])
