"""What the tables of products and of advertisements share: scores of every method on the same tasks, by K."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metalab.api import create_pretrain_model
from metalab.applications import application
from metalab.bench.held_out import aligned, check_names, trained
from metalab.config import Config
from metalab.data import create_source
from metalab.data.event_source import EventSource
from metalab.errors import ConfigError
from metalab.evaluation import Measured, mean_interval, measure, methods_of
from metalab.metalearners import metalearners
from metalab.outcomes import counted
from metalab.progress import Progress
from metalab.tasks import Examples, Split, TaskShape

Score = Callable[[np.ndarray, np.ndarray], float]
"""(what was put out, what happened) of one task → a number."""


def add_arguments(parser: argparse.ArgumentParser, of: str, shots: list[int], tasks: int) -> None:
    """Add the flags of the table of application ``of``."""
    known = application(of).sources
    parser.add_argument("--source", choices=known, default=known[0], help=f"default: {known[0]}")
    parser.add_argument("--data", type=Path, help="folder or file of the data, where the source needs one")
    parser.add_argument("--shots", nargs="+", type=int, default=shots, help="default: %(default)s")
    parser.add_argument("--tasks", type=int, default=tasks, help="held-out tasks (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="of meta-training; 0: none (default: the application's)")
    parser.add_argument("--pretrain-steps", type=int, help="default: the application's")
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="these meta-learners (default: all)")
    parser.add_argument("--validation", action="store_true", help="measure on meta-validation, to choose by")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object a K")


def made(arguments: argparse.Namespace, of: str) -> tuple[Config, EventSource, dict[str, Measured]]:
    """Return configuration, source and methods: pre-trained, meta-trained and fitted here, from the seed."""
    known = list(metalearners(of))
    check_names({"--only": (arguments.only or (), known)})
    if arguments.tasks < 2:
        raise ConfigError("an interval needs at least two tasks", where="--tasks")
    asked = {"steps": arguments.steps, "pretrain_steps": arguments.pretrain_steps}
    steps = {name: value for name, value in asked.items() if value}
    chosen = arguments.only or known
    config = Config.create(
        application=of,
        source=arguments.source,
        data=arguments.data,
        metalearner=chosen[0],
        seed=arguments.seed,
        pretrained="none",
        **steps,
    )
    source = create_source(config)
    pretrained = create_pretrain_model(config, source).frozen_copy()
    learners = {}
    for name in chosen:
        started = time.monotonic()
        one = config.replace(metalearner=name)
        if arguments.steps == 0:
            from metalab.api import create_metalearner

            learners[name] = create_metalearner(name, pretrained)
        else:
            learners[name] = trained(one, pretrained, source)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return config, source, methods_of(learners, pretrained, source)


def scored(
    methods: dict[str, Measured],
    source: EventSource,
    shape: TaskShape,
    tasks: int,
    scores: dict[str, Score],
    split: Split,
) -> dict[str, np.ndarray]:
    """Return the ``scores`` of each method on each task (tasks, scores)."""

    def judge(outputs: Tensor, query: Examples) -> Tensor:
        given, truth = counted(outputs, query)
        return torch.tensor([score(given, truth) for score in scores.values()], dtype=torch.float64)

    values: dict[str, np.ndarray] = {}
    for item in measure(methods, source, shape, tasks, split, torch.device("cpu"), judge):
        if not isinstance(item, Progress):
            values = item
    return values


def gain(
    values: dict[str, np.ndarray], methods: dict[str, Measured], method: str, at: int, sign: int
) -> tuple[str, float, float]:
    """Return the baseline that is best in score ``at``, and how much better ``method`` is, with half the
    95 % interval, paired; ``sign`` is -1 where less is better."""
    baselines = [name for name, one in methods.items() if one.kind == "baseline"]
    best = max(
        baselines, key=lambda name: sign * np.nan_to_num(values[name][:, at].mean(), nan=-sign * np.inf)
    )
    return best, *mean_interval(sign * (values[method][:, at] - values[best][:, at]))


def table(
    title: str,
    values: dict[str, np.ndarray],
    methods: dict[str, Measured],
    scores: dict[str, tuple[int, float, int]],
    further: dict[str, dict[str, float]],
) -> tuple[str, dict[str, Any]]:
    """Return the table as text and as data. ``scores``: name → (1: more is better, or -1; factor
    and digits shown)."""
    first = next(iter(scores.values()))[0]
    order = sorted(values, key=lambda name: -first * np.nan_to_num(values[name][:, 0].mean()))
    columns, rows = [["", *(methods[name].label for name in order)]], {name: {} for name in order}
    for at, (score, (sign, factor, digits)) in enumerate(scores.items()):
        cells, gains = [], []
        for name in order:
            mean, half = mean_interval(values[name][:, at])
            rows[name][score] = {"mean": mean, "interval": half}
            cells.append("" if np.isnan(mean) else f"{factor * mean:.{digits}f} ± {factor * half:.{digits}f}")
            if methods[name].kind == "baseline":
                gains.append("")
                continue
            best, more, spread = gain(values, methods, name, at, sign)
            rows[name][score] |= {"baseline": best, "gain": more, "gain_interval": spread}
            gains.append(f"{factor * more:+.{digits}f} ± {factor * spread:.{digits}f}")
        columns += [[score, *cells], ["gain", *gains]]
    for score, held in further.items():
        columns.append([score, *(f"{held[name]:.3f}" if name in held else "" for name in order)])
        for name in order:
            rows[name][score] = held.get(name)
    tasks = len(next(iter(values.values())))
    text = "\n".join(
        [f"{title}, {tasks} tasks; gain: better than the best baseline, paired", *aligned(columns)]
    )
    return text, {"title": title, "tasks": tasks, "rows": rows}


def shown(arguments: argparse.Namespace, text: str, data: dict[str, Any]) -> None:
    """Print a table as it was asked for."""
    print(json.dumps(data) if arguments.json else text + "\n", flush=True)
