"""Every meta-learner under one budget on the same tasks: the leaderboard."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metalab.adaptation import describe
from metalab.api import create_metalearner, create_pretrain_model
from metalab.baselines import BASELINES
from metalab.checkpoints import SHIPPED, save_checkpoint
from metalab.config import Config
from metalab.data import create_source
from metalab.errors import ConfigError
from metalab.evaluation import Measured, measure, methods_of, tabulate
from metalab.metalearners import MetaLearner, get_metalearner, metalearners
from metalab.storage import atomic_write, home, to_json
from metalab.tasks import TaskShape, TaskSource, task_at
from metalab.training import Trainer

LEADERBOARD = SHIPPED / "leaderboard.json"
"""The measured table that comes with metalab; the dashboard and the README read it."""
SHOTS = (1, 5)
"""Every model is trained on 1-shot tasks and judged on both."""
OPTIONS: dict[str, dict[str, Any]] = {}
"""Options of each method, chosen on meta-validation; everything else is the default."""
TIMED_TASKS = 30


@dataclass(frozen=True)
class Result:
    """One method's measurements; ``accuracies`` of each shot are those of the single tasks."""

    name: str
    accuracies: dict[int, list[float]]
    validation: float
    step_seconds: float
    adapt_milliseconds: float
    peak_megabytes: int
    parameters: int
    """Parameters that the method adds to the backbone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--steps", type=int, default=300, help="meta-training steps each (default: 300)")
    parser.add_argument("--tasks", type=int, default=600, help="held-out tasks per shot (default: 600)")
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
    config = Config.create(steps=arguments.steps, seed=arguments.seed, validate_every=arguments.steps)
    table: dict[str, Any] = {}
    for item in methods(config, arguments.only or list(metalearners()), arguments.tasks):
        if isinstance(item, str):
            print(item, flush=True)
        else:
            table = item
    if arguments.out:
        atomic_write(arguments.out, to_json(table, indent=1))
    print(json.dumps(table, indent=1) if arguments.format == "json" else as_text(table, arguments.format))
    return 0


def methods(config: Config, names: list[str], n_tasks: int) -> Iterator[str | dict[str, Any]]:
    """Yield a line a finished method, last the whole table as JSON-able data.

    Each method trains in a process of its own, so that its memory is its own. Results are kept under
    ``METALAB_HOME/bench/methods``.
    """
    results = {}
    for name in ["baselines", *names]:
        options = OPTIONS.get(name, {})
        asked = config if name == "baselines" else config.replace(metalearner=name, options=options)
        path = _place(asked, n_tasks) / f"{name}.json"
        if not path.is_file():
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                pool.submit(_measured, name, asked, n_tasks, path).result()
        results[name] = _read(path)
        yield f"{name}: done"
    yield _table(config, results, n_tasks)


def _place(config: Config, n_tasks: int) -> Path:
    key = hashlib.sha256(f"{config.to_json()}{n_tasks}".encode()).hexdigest()[:16]
    return home() / "bench" / "methods" / key


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes())


def _measured(name: str, config: Config, n_tasks: int, path: Path) -> None:
    """Train and measure one method, or measure the baselines, and write the result to ``path``."""
    source = create_source(config)
    pretrained = create_pretrain_model(config, source)
    if name == "baselines":
        found: dict[str, Any] = {"accuracies": _accuracies(methods_of({}, pretrained), source, n_tasks)}
    else:
        found = asdict(_trained(name, config, source, pretrained, n_tasks, path))
    atomic_write(path, to_json(found))


def _trained(
    name: str, config: Config, source: TaskSource, pretrained: torch.nn.Module, n_tasks: int, path: Path
) -> Result:
    learner = create_metalearner(name, pretrained, seed=config.seed, **config.options)
    extra = sum(p.numel() for p in learner.parameters()) - sum(p.numel() for p in pretrained.parameters())
    times, before, memory, validation = [], time.perf_counter(), 0, 0.0
    for progress in Trainer(learner, source, config).run():
        now = time.perf_counter()
        if progress.kind == "train":
            times.append(now - before)
            memory = progress.memory or 0
        else:
            validation = progress.accuracy or 0.0
        before = time.perf_counter()
    meta = {"config": config.model_dump(mode="json"), **describe(learner)}
    save_checkpoint(path.with_suffix(".safetensors"), "metalearner", learner.state_dict(), meta)
    accuracies = _accuracies(methods_of({name: learner}, None), source, n_tasks)
    own = {shot: values[name] for shot, values in accuracies.items()}
    waiting = _adapt_milliseconds(learner, source)
    return Result(name, own, validation, float(np.median(times)), waiting, memory >> 20, extra)


def _accuracies(
    measured: dict[str, Measured], source: TaskSource, n_tasks: int
) -> dict[int, dict[str, list[float]]]:
    found = {}
    for shot in SHOTS:
        *_, values = measure(measured, source, _shape(shot), n_tasks, "test", torch.device("cpu"))
        found[shot] = {name: held.tolist() for name, held in values.items()}
    return found


def _shape(shot: int) -> TaskShape:
    return TaskShape(5, shot, 15)


def _adapt_milliseconds(learner: MetaLearner, source: TaskSource) -> float:
    """Return the median time of adapting to a 5-way 1-shot task and predicting its 75 queries."""
    times = []
    for number in range(TIMED_TASKS):
        task = task_at(source, number, "validation", _shape(1), seed=1)
        started = time.perf_counter()
        with torch.no_grad():
            learner.predict(learner.adapt(task.support, task.way), task.query.x)
        times.append(time.perf_counter() - started)
    return 1000 * float(np.median(times))


def _table(config: Config, results: dict[str, Any], n_tasks: int) -> dict[str, Any]:
    """Put the results together: one evaluation table a shot, and what each method costs."""
    own = {name: cls for name, cls in metalearners().items() if name in results}
    measured = {name: Measured(cls.label, "metalearner", cls.uses_other_queries) for name, cls in own.items()}
    measured |= {name: Measured(label, "baseline", False) for name, label, _ in BASELINES}
    shots = {}
    for shot in map(str, SHOTS):
        values = dict(results["baselines"]["accuracies"][shot])
        values |= {name: results[name]["accuracies"][shot] for name in own}
        arrays = {name: np.array(held) for name, held in values.items()}
        shots[shot] = tabulate(measured, arrays, _shape(int(shot)), "test").as_dict()
    costs = {
        name: {key: value for key, value in results[name].items() if key not in ("name", "accuracies")}
        for name in own
    }
    budget = {"steps": config.steps, "meta_batch": config.meta_batch, "seed": config.seed, "tasks": n_tasks}
    return {"budget": budget, "shots": shots, "costs": costs}


def rows_of(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the leaderboard's rows, best 1-shot accuracy first, as text a person reads."""
    first, second = (table["shots"][str(shot)] for shot in SHOTS)
    many = {row["method"]: row for row in second["rows"]}
    rows = []
    for row in sorted(first["rows"], key=lambda row: -row["accuracy"]):
        cost = table["costs"].get(row["method"], {})
        rows.append(
            {
                "method": row["label"] + (" (transductive)" if row["transductive"] else ""),
                "1-shot": _percent(row),
                "against best baseline": _gain(first, row["method"]),
                "5-shot": _percent(many[row["method"]]),
                "against best baseline ": _gain(second, row["method"]),
                "s a step": f"{cost['step_seconds']:.2f}" if cost else "",
                "ms to adapt": f"{cost['adapt_milliseconds']:.0f}" if cost else "",
                "MB": str(cost["peak_megabytes"]) if cost else "",
            }
        )
    return rows


def _percent(row: dict[str, Any]) -> str:
    return f"{100 * row['accuracy']:.1f} ± {100 * row['interval']:.1f}"


def _gain(evaluation: dict[str, Any], name: str) -> str:
    against = [item for item in evaluation["differences"] if item["method"] == name]
    if not against:
        return ""
    least = min(against, key=lambda item: item["difference"])
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
