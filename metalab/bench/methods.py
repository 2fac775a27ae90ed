"""Every meta-learner under one budget on the same tasks: the leaderboard."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metalab.adaptation import describe
from metalab.api import create_metalearner, create_pretrain_model
from metalab.baselines import BASELINES
from metalab.checkpoints import save_checkpoint
from metalab.config import Config
from metalab.data import create_source
from metalab.errors import ConfigError
from metalab.evaluation import Measured, least_gain, measure, methods_of, tabulate
from metalab.metalearners import MetaLearner, get_metalearner, metalearners
from metalab.storage import atomic_write, home, to_json
from metalab.tasks import TaskShape, TaskSource, task_at
from metalab.training import Trainer, task_shape

OPTIONS: dict[str, dict[str, Any]] = {}
"""Options of each method, chosen on meta-validation; everything else is the default."""
TIMED_TASKS, TIMED_STEPS = 30, 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--steps", type=int, default=150, help="meta-training steps each (default: 150)")
    parser.add_argument("--shot", type=int, default=1, help="in training and in the test (default: 1)")
    parser.add_argument("--tasks", type=int, default=600, help="held-out tasks (default: 600)")
    parser.add_argument("--only", action="append", default=[], help="a method; may be given several times")
    parser.add_argument("--seed", type=int, default=0, help="seed of meta-training (default: 0)")
    parser.add_argument("--out", type=Path, help="write the table there, as JSON")
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, and write it if asked to. An interrupted bench goes on where it was."""
    for name in arguments.only:
        get_metalearner(name)
    if arguments.tasks < 2:
        raise ConfigError("an interval needs at least two tasks", where="--tasks")
    config = Config.create(
        shot=arguments.shot, steps=arguments.steps, seed=arguments.seed, validate_every=arguments.steps
    )
    table: dict[str, Any] = {}
    for item in methods(config, arguments.only or list(metalearners()), arguments.tasks):
        if isinstance(item, str):
            print(item, file=sys.stderr, flush=True)
        else:
            table = item
    if arguments.out:
        atomic_write(arguments.out, to_json(table, indent=1))
    print(json.dumps(table, indent=1) if arguments.format == "json" else as_text(table, arguments.format))
    return 0


def methods(config: Config, names: list[str], n_tasks: int) -> Iterator[str | dict[str, Any]]:
    """Yield a line a finished method, last the whole table as JSON-able data.

    Each method works in a process of its own. Results are kept under ``METALAB_HOME/bench/methods``.
    """
    asked = {name: config.replace(metalearner=name, options=OPTIONS.get(name, {})) for name in names}
    results = {}
    for name, own in {"baselines": config, **asked}.items():
        results[name] = _kept(own, n_tasks, name, _judged)
        yield f"{name}: trained and judged"
    costs = {}
    for name, own in asked.items():  # last, one after the other: nothing else should run meanwhile
        costs[name] = _kept(own, n_tasks, f"{name}.cost", _costs)
    yield _table(config, results, costs, n_tasks)


def _kept(config: Config, n_tasks: int, name: str, work: Callable[..., None]) -> dict[str, Any]:
    """Return what ``work`` has written, now or before; it runs in a process whose memory is its own."""
    path = _place(config, n_tasks) / f"{name}.json"
    if not path.is_file():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(work, config, n_tasks, path).result()
    return json.loads(path.read_bytes())


def _place(config: Config, n_tasks: int) -> Path:
    key = hashlib.sha256(f"{config.to_json()}{n_tasks}".encode()).hexdigest()[:16]
    return home() / "bench" / "methods" / key


def _judged(config: Config, n_tasks: int, path: Path) -> None:
    """Train one method and write its accuracy on each task, or that of the baselines."""
    source = create_source(config)
    pretrained = create_pretrain_model(config, source)
    if path.stem == "baselines":
        atomic_write(
            path, to_json({"accuracies": _accuracies(methods_of({}, pretrained), source, config, n_tasks)})
        )
        return
    name, validation = config.metalearner, 0.0
    learner = create_metalearner(name, pretrained, seed=config.seed, **config.options)
    for progress in Trainer(learner, source, config).run():
        if progress.kind == "validation":
            validation = progress.accuracy
    meta = {"config": config.model_dump(mode="json"), **describe(learner)}
    save_checkpoint(path.with_suffix(".safetensors"), "metalearner", learner.state_dict(), meta)
    accuracies = _accuracies(methods_of({name: learner}, None), source, config, n_tasks)
    atomic_write(path, to_json({"accuracies": accuracies, "validation": validation}))


def _costs(config: Config, n_tasks: int, path: Path) -> None:
    """Write what one method costs: a few steps of training, and adapting to a few tasks."""
    source = create_source(config)
    pretrained = create_pretrain_model(config, source)
    learner = create_metalearner(config.metalearner, pretrained, seed=config.seed, **config.options)
    extra = sum(p.numel() for p in learner.parameters()) - sum(p.numel() for p in pretrained.parameters())
    adapting = _adapt_milliseconds(learner, source, task_shape(config, "validation", source))
    times, before, memory = [], 0.0, 0
    short = config.replace(steps=TIMED_STEPS, validation_tasks=2, validate_every=TIMED_STEPS)
    for progress in Trainer(learner, source, short).run():
        if progress.kind == "train":
            times.append(time.perf_counter() - before)
            memory = progress.memory or 0
        before = time.perf_counter()
    found = {
        "step_seconds": float(np.median(times)),
        "adapt_milliseconds": adapting,
        "peak_megabytes": memory >> 20,
        "parameters": extra,
    }
    atomic_write(path, to_json(found))


def _accuracies(
    measured: dict[str, Measured], source: TaskSource, config: Config, n_tasks: int
) -> dict[str, list[float]]:
    shape = task_shape(config, "test", source)
    *_, values = measure(measured, source, shape, n_tasks, "test", torch.device("cpu"))
    return {name: held.tolist() for name, held in values.items()}


def _adapt_milliseconds(learner: MetaLearner, source: TaskSource, shape: TaskShape) -> float:
    """Return the median time of adapting to a task and predicting its 75 queries."""
    times = []
    for number in range(TIMED_TASKS):
        task = task_at(source, number, "validation", shape, seed=1)
        started = time.perf_counter()
        with torch.no_grad():
            learner.predict(learner.adapt(task.support, task.way), task.query.x)
        times.append(time.perf_counter() - started)
    return 1000 * float(np.median(times))


def _table(config: Config, results: dict[str, Any], costs: dict[str, Any], n_tasks: int) -> dict[str, Any]:
    """Put the results together: the evaluation table, and what each method costs."""
    own = {name: cls for name, cls in metalearners().items() if name in results}
    measured = {name: Measured(cls.label, "metalearner", cls.uses_other_queries) for name, cls in own.items()}
    measured |= {name: Measured(label, "baseline", False) for name, label, _ in BASELINES}
    values = dict(results["baselines"]["accuracies"])
    for name in own:
        values |= results[name]["accuracies"]
    arrays = {name: np.array(held) for name, held in values.items()}
    shape = TaskShape(config.way, config.shot, config.query)
    budget = {"steps": config.steps, "meta_batch": config.meta_batch, "seed": config.seed, "tasks": n_tasks}
    return {
        "budget": budget,
        "evaluation": tabulate(measured, arrays, shape, "test").as_dict(),
        "costs": costs,
        "torch": torch.__version__,
    }


def rows_of(table: dict[str, Any]) -> list[dict[str, str]]:
    """Return the leaderboard's rows, best accuracy first, as text a person reads."""
    evaluation, rows = table["evaluation"], []
    for row in sorted(evaluation["rows"], key=lambda row: -row["accuracy"]):
        cost = table["costs"].get(row["method"], {})
        rows.append(
            {
                "method": row["label"] + (" (transductive)" if row["transductive"] else ""),
                "accuracy, %": _percent(row),
                "against the best baseline": _gain(evaluation, row["method"]),
                "s a step": f"{cost['step_seconds']:.2f}" if cost else "",
                "ms to adapt": f"{cost['adapt_milliseconds']:.0f}" if cost else "",
                "peak MB": str(cost["peak_megabytes"]) if cost else "",
            }
        )
    return rows


def _percent(row: dict[str, Any]) -> str:
    return f"{100 * row['accuracy']:.1f} ± {100 * row['interval']:.1f}"


def _gain(evaluation: dict[str, Any], name: str) -> str:
    least = least_gain(evaluation, name)
    if least is None:
        return ""
    text = f"{100 * least['difference']:+.1f} ± {100 * least['interval']:.1f}"
    return f"**{text}**" if least["difference"] > least["interval"] else text


def as_text(table: dict[str, Any], style: str) -> str:
    """Return the leaderboard as aligned text, or as a Markdown table; bold: better beyond the interval."""
    rows = rows_of(table)
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    if style == "markdown":
        lines.insert(1, ["---"] * len(lines[0]))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(len(line[i]) for line in lines) + 2 for i in range(len(lines[0]))]
    return "\n".join("".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)
