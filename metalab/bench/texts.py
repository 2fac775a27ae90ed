"""Texts: every method and baseline on the same held-out tasks of styles, or languages, never met before."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from metalab.bench.held_out import Scores, check_names, compare, text, trained
from metalab.chrf import chrf, translation_scores
from metalab.config import WRITERS, Config
from metalab.data import create_source
from metalab.data.pairs import PairSource
from metalab.errors import ConfigError
from metalab.evaluation import TEST_SEED, methods_of
from metalab.metalearners import metalearners
from metalab.metalearners.writers import Writing
from metalab.rouge import rouge_l, summary_scores
from metalab.shipped import load_trained, shipped
from metalab.tasks import Split, TaskShape, seeded
from metalab.written_model import adapt_writer

SHOTS = {"summarisation": (1, 5, 10), "translation": (10, 50, 200)}
QUERY = {"summarisation": 10, "translation": 15}
SLOW = ("from-scratch", "fine-tuned")
"""Methods of which a task costs seconds: they are measured on the first tasks of the list alone."""
REPEAT = 10
"""Tasks that are timed."""
MEASURE = {"summarisation": rouge_l, "translation": chrf}
"""Of one text against the true one."""
SCORES: dict[str, Scores] = {"summarisation": summary_scores, "translation": translation_scores}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("application", choices=WRITERS)
    parser.add_argument("--shots", nargs="+", type=int, help="default: 1 5 10, of translation 10 50 200")
    parser.add_argument("--tasks", type=int, default=200, help="held-out tasks a shot (default: 200)")
    parser.add_argument("--only", nargs="+", default=(), metavar="METHOD", help="train these as well")
    parser.add_argument("--steps", type=int, help="of training them (default: the application's)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what is trained, or read it there")
    parser.add_argument("--validation", action="store_true", help="measure on meta-validation, to choose by")
    parser.add_argument("--slow-tasks", type=int, default=30, help="tasks of slow methods (default: 30)")
    parser.add_argument(
        "--show", type=int, metavar="TASKS", help="instead print what is written in so many tasks, to be read"
    )
    parser.add_argument("--speed", action="store_true", help="instead: how long adapting and writing take")
    parser.add_argument("--json", action="store_true", help="print one JSON object a shot")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    of = arguments.application
    check_names({"--only": (arguments.only, list(metalearners(of)))})
    if min(arguments.tasks, arguments.slow_tasks) < 2:
        raise ConfigError("an interval needs at least two tasks", where="--tasks, --slow-tasks")
    ready = {name: load_trained(name) for name in shipped(of)}
    if not ready:
        raise ConfigError("nothing is shipped for it yet", where=of, fix="Run ship first")
    first = next(iter(ready.values()))
    source = create_source(first.config)
    split: Split = "validation" if arguments.validation else "test"
    shapes = [TaskShape(1, shot, QUERY[of]) for shot in arguments.shots or SHOTS[of]]
    for shape in shapes:
        source.check(shape, split)
    if arguments.show:
        for line in texts_read(first.metalearner, source, shapes[0], split, arguments.show):
            print(line, flush=True)
        return 0
    if arguments.speed:
        for shape in shapes:
            print(speed(first.metalearner, source, shape), flush=True)
        return 0
    learners = {name: one.metalearner for name, one in ready.items()}
    for name in arguments.only:
        config = Config.create(application=of, metalearner=name)
        config = config.replace(steps=arguments.steps or config.steps)
        learners[name] = trained(config, first.pretrained, source, arguments.keep)
    methods = methods_of(learners, first.pretrained, source)
    for shape in shapes:
        started = time.monotonic()
        table, further = compare(
            methods, source, shape, arguments.tasks, arguments.slow_tasks, SLOW, SCORES[of], split
        )
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
        if arguments.json:
            print(json.dumps({**table.as_dict(), "further": further}), flush=True)
        else:
            print(f"{text(f'{of}, {shape.shot}-shot', table, further, gains=True)}\n", flush=True)
    return 0


def texts_read(
    learner: Writing, source: PairSource, shape: TaskShape, split: Split, tasks: int
) -> Iterator[str]:
    """Yield a line for each query text: its beginning, the true text, what was written, the measure."""
    for pairs in source.texts(tasks, split, shape, seeded("cpu", TEST_SEED, "read")):
        model = adapt_writer(learner, pairs[: shape.shot])
        asked = pairs[shape.shot :]
        for pair, found in zip(asked, model.predict([pair.source for pair in asked]), strict=True):
            good = MEASURE[learner.application](found.text, pair.target)
            yield f"{pair.source[:60]!r} | {pair.target!r} | {found.text!r} | {good:.2f}"


def speed(learner: Writing, source: PairSource, shape: TaskShape) -> str:
    """Say how long it takes to adapt to the examples of a task, each time another, and to write one text."""
    adapting, writing = [], []
    for pairs in source.texts(REPEAT, "test", shape, seeded("cpu", TEST_SEED, "speed")):
        started = time.perf_counter()
        model = adapt_writer(learner, pairs[: shape.shot])
        adapting.append(time.perf_counter() - started)
        started = time.perf_counter()
        model.predict([pairs[shape.shot].source])
        writing.append(time.perf_counter() - started)
    return (
        f"{shape.shot} examples: adapt {statistics.median(adapting):.2f} s, slowest {max(adapting):.2f} s; "
        f"write one text {statistics.median(writing):.2f} s"
    )
