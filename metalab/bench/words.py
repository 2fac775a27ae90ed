"""Spoken words: the shipped method and every baseline on the same held-out words and voices; speed."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np

from metalab.api import task_learning
from metalab.bench.held_out import compare, text
from metalab.data import create_source
from metalab.data.voices import RATE
from metalab.errors import ConfigError
from metalab.evaluation import methods_of
from metalab.metalearners import MetaLearner
from metalab.metalearners.base import score
from metalab.own_words import adapt_words, held_out_task, pictures
from metalab.shipped import load_trained, shipped
from metalab.tasks import Split, TaskShape

OF = "speech-recognition"
SLOW = ("from-scratch",)
"""Methods of which a task costs seconds: they are measured on the first tasks of the list alone."""
REPEAT = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--way", type=int, default=10, help="words of a task (default: 10)")
    parser.add_argument("--shots", nargs="+", type=int, default=[1, 5], help="default: 1 5")
    parser.add_argument("--tasks", type=int, default=600, help="held-out tasks a shot (default: 600)")
    parser.add_argument("--slow-tasks", type=int, default=60, help="of slow methods (default: 60)")
    parser.add_argument("--validation", action="store_true", help="measure on meta-validation, to choose by")
    parser.add_argument("--speed", action="store_true", help="instead: how long a word and adapting take")
    parser.add_argument("--json", action="store_true", help="print one JSON object a shot")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    if min(arguments.tasks, arguments.slow_tasks) < 2:
        raise ConfigError("an interval needs at least two tasks", where="--tasks, --slow-tasks")
    ready = {name: load_trained(name) for name in shipped(OF)}
    if not ready:
        raise ConfigError("nothing is shipped for it yet", where=OF, fix="Run ship first")
    first = next(iter(ready.values()))
    if arguments.speed:
        print(speed(first.metalearner))
        return 0
    source = create_source(first.config)
    split: Split = "validation" if arguments.validation else "test"
    methods = methods_of({name: one.metalearner for name, one in ready.items()}, first.pretrained, source)
    for shot in arguments.shots:
        shape, started = TaskShape(arguments.way, shot, 5), time.monotonic()
        source.check(shape, split)
        table, further = compare(
            methods,
            source,
            shape,
            arguments.tasks,
            arguments.slow_tasks,
            SLOW,
            lambda outputs, query: {"accuracy": float(score(outputs, query))},
            split,
        )
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
        if arguments.json:
            print(json.dumps(table.as_dict()), flush=True)
        else:
            title = f"{OF}, {arguments.way}-way {shot}-shot"
            print(f"{text(title, table, further, gains=True)}\n", flush=True)
    return 0


def speed(metalearner: MetaLearner) -> str:
    """Say how long adapting to 10 words of 5 recordings and hearing one word take, and the latter's share of
    the time that saying it takes."""
    task = held_out_task(10, 5, 1, 0)
    one = next(iter(task.query.values()))[0]
    plain, adapting, hearing = [], [], []
    for _ in range(REPEAT):
        started = time.perf_counter()
        task_learning(metalearner, *_labelled(task.support), [one])
        plain.append(time.perf_counter() - started)
        started = time.perf_counter()
        model = adapt_words(metalearner, pictures(task.support))
        adapting.append(time.perf_counter() - started)
        started = time.perf_counter()
        model.predict([one])
        hearing.append(time.perf_counter() - started)
    seconds, heard = len(one) / RATE, statistics.median(hearing)
    return (
        f"adapting to 50 recordings and hearing one takes a median of {statistics.median(plain):.2f} s, with "
        f"cross-validated confidence and a threshold for none of these {statistics.median(adapting):.1f} s; "
        f"hearing one word more {1000 * heard:.0f} ms, {heard / seconds:.2f} of the time that it takes to "
        "say it"
    )


def _labelled(words: Mapping[str, Sequence[np.ndarray]]) -> tuple[list[np.ndarray], list[str]]:
    """Return recordings and their words."""
    return [one for own in words.values() for one in own], [word for word, own in words.items() for _ in own]
