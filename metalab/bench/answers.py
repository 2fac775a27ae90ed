"""Questions: every method and baseline on the same held-out tasks of kinds of question never met before."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from metalab.answer_model import adapt_answers, overlap
from metalab.applications import application
from metalab.bench.held_out import aligned, check_names, compare, percent, text, trained
from metalab.config import Config
from metalab.data import create_source
from metalab.errors import ConfigError
from metalab.evaluation import Evaluation, mean_interval, methods_of
from metalab.metalearners import MetaLearner, metalearners
from metalab.own_answers import held_out_kinds, sample_task
from metalab.shipped import load_trained, shipped
from metalab.spans import answer_scores
from metalab.tasks import Split, TaskShape, TaskSource, task_list

OF = "question-answering"
SOURCES = tuple(name for name in application(OF).sources if name != "answered")
QUERY = 5
SLOW = ("from-scratch", "fine-tuned")
"""Methods of which a task costs seconds: they are measured on the first tasks of the list alone."""
SHOWN = 3
"""Questions shown of each task that is to be read."""
FEWEST = 5
"""Tasks of a kind of question that are enough for a column of their own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--source", choices=SOURCES, default=SOURCES[0], help=f"default: {SOURCES[0]}")
    parser.add_argument("--shots", nargs="+", type=int, default=[1, 5, 10], help="default: 1 5 10")
    parser.add_argument("--tasks", type=int, default=200, help="held-out tasks a shot (default: 200)")
    parser.add_argument(
        "--steps",
        type=int,
        default=600,
        help="meta-train what is not shipped for so many steps, the best on meta-validation kept; 0: leave "
        "it out (default: 600, minutes a method)",
    )
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="train only these (default: all)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what is trained, or read it there")
    parser.add_argument("--validation", action="store_true", help="measure on meta-validation, to choose by")
    parser.add_argument(
        "--slow", nargs="+", default=SLOW, metavar="METHOD", help=f"slow methods (default: {' '.join(SLOW)})"
    )
    parser.add_argument("--slow-tasks", type=int, default=50, help="of slow methods (default: 50)")
    parser.add_argument(
        "--show",
        type=int,
        metavar="TASKS",
        help="instead print what the shipped model finds in so many tasks of each kind, to be read",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object a shot")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    known = list(metalearners(OF))
    baselines = [name for name, *_ in application(OF).baselines]
    check_names(
        {
            "--only": (arguments.only or (), known),
            "--slow": (set(arguments.slow) - set(SLOW), [*known, *baselines]),
        }
    )
    if min(arguments.tasks, arguments.slow_tasks) < 2:
        raise ConfigError("an interval needs at least two tasks", where="--tasks, --slow-tasks")
    if min(arguments.shots) < 1:
        raise ConfigError("a task needs an example", where="--shots", fix="Give 1 or more")
    shapes = [TaskShape(1, shot, QUERY) for shot in arguments.shots]
    ready = {name: load_trained(name) for name in shipped(OF)}
    if not ready:
        raise ConfigError("nothing is shipped for it yet", where=OF, fix="Run ship first")
    first = next(iter(ready.values()))
    if arguments.show:
        for line in answers_read(first.metalearner, arguments.source, arguments.shots[0], arguments.show):
            print(line, flush=True)
        return 0
    source = create_source(first.config.replace(source=arguments.source))
    split: Split = "validation" if arguments.validation else "test"
    for shape in shapes:  # before minutes of training
        source.check(shape, split)
    learners = {
        name if one.config.source == arguments.source else f"{name}, of {one.config.source}": one.metalearner
        for name, one in ready.items()
    }
    for name in (arguments.only or known) if arguments.steps else ():
        if name not in learners:
            config = Config.create(
                application=OF,
                metalearner=name,
                source=arguments.source,
                steps=arguments.steps,
                seed=arguments.seed,
            )
            learners[name] = trained(config, first.pretrained, source, arguments.keep)
    methods = methods_of(learners, first.pretrained)
    for shape in shapes:
        started = time.monotonic()
        table, further = compare(
            methods,
            source,
            shape,
            arguments.tasks,
            arguments.slow_tasks,
            arguments.slow,
            answer_scores,
            split,
        )
        kinds = by_kind(table, source, shape, arguments.tasks)
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
        if arguments.json:
            print(json.dumps({**table.as_dict(), "further": further, "kinds": kinds}), flush=True)
        else:
            title = f"{OF}, {arguments.source}, {shape.shot}-shot"
            print(f"{text(title, table, further, gains=True)}\n{_kinds_text(table, kinds)}\n", flush=True)
    return 0


def answers_read(learner: MetaLearner, source: str, shot: int, tasks: int) -> Iterator[str]:
    """Yield a line a question: its kind, what it is about, the answer, what was found, how sure, token F1."""
    for kind, name in held_out_kinds(source).items():
        for number in range(tasks):
            task = sample_task(number, shot, SHOWN, kind, source=source)
            model = adapt_answers(learner, task.support)
            passages, questions = zip(*((one.passage, one.question) for one in task.query), strict=True)
            for truth, found in zip(task.query, model.predict(passages, questions), strict=True):
                about = truth.question.partition(" ")[2]
                yield (
                    f"{name} | {about} | {truth.answer!r} | {found.text!r} ({found.probability:.0%}) | "
                    f"{overlap(found, truth):.2f}"
                )


def by_kind(
    table: Evaluation, source: TaskSource, shape: TaskShape, tasks: int
) -> dict[str, dict[str, tuple[float, float]]]:
    """Return of each kind of question that came often enough: metric and interval by method."""
    batches = task_list(source, tasks, table.split, shape, table.seed)
    asked = np.array([int(kind) for batch in batches for kind in batch.classes[:, 0]])
    found = {}
    for kind in sorted(set(asked.tolist())):
        if (asked == kind).sum() >= FEWEST:
            found[source.class_name(kind)] = {
                method: mean_interval(values[asked == kind])
                for method, values in table.accuracies.items()
                if len(values) == tasks
            }
    return found


def _kinds_text(table: Evaluation, kinds: dict[str, dict[str, tuple[float, float]]]) -> str:
    rows = sorted(table.rows, key=lambda row: -row.accuracy)
    rows = [row for row in rows if all(row.method in held for held in kinds.values())]
    columns = [[f"{table.metric} by kind", *kinds]]
    columns += [[row.label, *(percent(*held[row.method]) for held in kinds.values())] for row in rows]
    return "\n".join(aligned(columns)) if kinds else ""
