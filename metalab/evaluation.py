"""Step 4, task learning, judged: held-out tasks, baselines on the very same tasks, paired differences."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from metalab.applications import application
from metalab.backbones import Backbone
from metalab.baselines import Method
from metalab.execution import task_runner
from metalab.metalearners import MetaLearner
from metalab.metalearners.base import score
from metalab.progress import Progress
from metalab.tasks import Examples, Split, Task, TaskShape, TaskSource, task_list

TEST_SEED = 2_000_003
"""Seed of the fixed held-out tasks: every method and every run meets the same ones."""
FEW_TASKS = 100
"""Below so many tasks an interval says little, and the verdict says so."""


@dataclass(frozen=True)
class Row:
    """One method's result: mean accuracy over ``tasks`` tasks with half its 95 % interval, both shares."""

    method: str
    label: str
    kind: str
    accuracy: float
    interval: float
    tasks: int
    transductive: bool = False


@dataclass(frozen=True)
class Difference:
    """Paired difference of a meta-learner less a baseline over the same tasks, with its 95 % interval."""

    method: str
    baseline: str
    difference: float
    interval: float

    @property
    def better(self) -> bool:
        """Whether the meta-learner is better beyond the interval."""
        return self.difference > self.interval


@dataclass(frozen=True)
class Evaluation:
    """A table of results on one list of held-out tasks; ``verdict`` has one sentence a meta-learner.

    ``accuracies`` (n_tasks,) of each method, task by task: with them two evaluations on the same tasks can
    be paired. ``metric`` names what the rows' ``accuracy`` is: mean IoU for masks, AP50 for boxes.
    """

    rows: list[Row]
    differences: list[Difference]
    verdict: str
    way: int
    shot: int
    split: Split
    seed: int
    accuracies: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    metric: str = "accuracy"

    def as_dict(self) -> dict:
        """Return plain JSON-able data, without ``accuracies``."""
        table = asdict(self)
        del table["accuracies"]
        return table


def evaluate(
    metalearners: MetaLearner | Mapping[str, MetaLearner],
    pretrained: Backbone,
    source: TaskSource,
    shape: TaskShape,
    n_tasks: int,
    *,
    split: Split = "test",
    baselines: bool = True,
) -> Iterator[Progress | Evaluation]:
    """Yield progress, last an :class:`Evaluation` of ``metalearners`` and the baselines on the same tasks.

    ``metalearners`` is one, or several by name. ``pretrained`` is the backbone before meta-learning, on which
    the baselines stand. Raises :class:`DataError` if ``source`` cannot form the tasks.
    """
    values: dict[str, np.ndarray] = {}
    if isinstance(metalearners, MetaLearner):
        metalearners = {metalearners.name: metalearners}
    measured = methods_of(metalearners, pretrained if baselines else None, source)
    of = {learner.application for learner in metalearners.values()} or {"image-classification"}
    suits = application(*of)
    device = pretrained.input_mean.device
    for item in measure(measured, source, shape, n_tasks, split, device, suits.judge):
        if isinstance(item, Progress):
            yield item
        else:
            values = item
    yield tabulate(measured, values, shape, split, metric=suits.metric)


@dataclass(frozen=True)
class Measured:
    """A method as the table names it; ``run`` is what is measured."""

    label: str
    kind: str
    transductive: bool
    run: Method | None = None


def methods_of(
    metalearners: Mapping[str, MetaLearner], pretrained: Backbone | None, source: TaskSource | None = None
) -> dict[str, Measured]:
    """Return ``metalearners`` by name as methods, then the baselines on ``pretrained`` if there is one.

    Those that learn from meta-train need the ``source``."""
    labels = Counter(learner.label for learner in metalearners.values())
    methods = {}
    for name, learner in metalearners.items():
        label = learner.label if labels[learner.label] == 1 else f"{learner.label} ({name})"
        methods[name] = Measured(label, "metalearner", learner.transductive, _adapted(learner))
    if pretrained is not None:
        of = next(iter(metalearners.values())).application if metalearners else "image-classification"
        made = [(name, label, make(pretrained)) for name, label, make in application(of).baselines]
        if source is not None:
            made += [(name, label, make(pretrained, source)) for name, label, make in application(of).fitted]
        for name, label, method in made:
            methods[name] = Measured(label, "baseline", pretrained.transductive, method)
    return methods


def measure(
    methods: Mapping[str, Measured],
    source: TaskSource,
    shape: TaskShape,
    n_tasks: int,
    split: Split,
    device: torch.device,
    judge: Callable[[Tensor, Examples], Tensor] = score,
) -> Iterator[Progress | dict[str, np.ndarray]]:
    """Yield progress, last the accuracy of each method on each task (n_tasks,), the same tasks for all.

    ``judge`` turns outputs and query examples into that number, or into several (k,): then (n_tasks, k).
    """
    results: dict[str, list[Any]] = {name: [] for name in methods}
    total, started = len(methods) * n_tasks, time.monotonic()
    # One BLAS thread a task: with two on two cores, logistic regression took ten times as long.
    with threadpool_limits(1), task_runner("threads" if device.type == "cpu" else "loop", device) as runner:
        done = 0
        # Methods within batches: drawing scenes costs as much as a quick method does.
        for batch in task_list(source, n_tasks, split, shape, TEST_SEED, device):
            for name, measured in methods.items():

                def one(item: tuple[int, Task], method: Method = measured.run) -> Any:
                    with torch.no_grad():
                        return judge(method(item[1], item[0]), item[1].query).tolist()

                results[name] += runner.map(one, enumerate(batch, len(results[name])))
                done += len(batch)
                rate = done / (time.monotonic() - started)
                yield Progress(
                    "evaluate", done, total, rate=rate, eta=(total - done) / rate, message=measured.label
                )
    yield {name: np.array(held) for name, held in results.items()}


def tabulate(
    methods: Mapping[str, Measured],
    values: Mapping[str, np.ndarray],
    shape: TaskShape,
    split: Split,
    metric: str = "accuracy",
) -> Evaluation:
    """Return the table of ``values``, the accuracies of each of ``methods`` on the same tasks (n_tasks,)."""
    rows = [
        Row(name, one.label, one.kind, *mean_interval(values[name]), len(values[name]), one.transductive)
        for name, one in methods.items()
    ]

    def paired(one: str, other: str) -> np.ndarray:
        both = min(len(values[one]), len(values[other]))  # a slow method saw the first tasks alone
        return values[one][:both] - values[other][:both]

    differences = [
        Difference(own.method, other.method, *mean_interval(paired(own.method, other.method)))
        for own in rows
        for other in rows
        if own.kind == "metalearner" and other.kind == "baseline"
    ]
    sentences = " ".join(verdict(row, rows, differences) for row in rows if row.kind == "metalearner")
    if rows and rows[0].tasks < FEW_TASKS:
        sentences += f" Only {rows[0].tasks} tasks were measured: too few to rely on."
    return Evaluation(
        rows, differences, sentences, shape.way, shape.shot, split, TEST_SEED, dict(values), metric
    )


def least_gain(evaluation: Mapping[str, Any], method: str) -> dict[str, Any] | None:
    """Return the difference of ``method`` to the best baseline, in an evaluation as data; None: it is one."""
    against = [item for item in evaluation["differences"] if item["method"] == method]
    return min(against, key=lambda item: item["difference"], default=None)


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the mean of ``values`` (n,) and half its normal 95 % interval."""
    spread = values.std(ddof=1) if len(values) > 1 else math.nan
    return float(values.mean()), float(1.96 * spread / math.sqrt(len(values)))


def verdict(own: Row, rows: list[Row], differences: list[Difference]) -> str:
    """Return one plain sentence: does meta-learner ``own`` help here, against the best baseline?"""
    against = [difference for difference in differences if difference.method == own.method]
    if not against:
        return f"{own.label} reaches {own.accuracy:.1%}; no baselines were asked for."
    best = min(against, key=lambda difference: difference.difference)
    label = next(row.label for row in rows if row.method == best.baseline)
    points = f"{100 * abs(best.difference):.1f} ± {100 * best.interval:.1f} points"
    if best.better:
        return f"{own.label} helps: {points} better than the best baseline ({label}) on the same tasks."
    if best.difference < -best.interval:
        return f"{own.label} does not pay here: {label} is {points} better. Use {label} instead."
    return f"No clear gain: {own.label} and {label} differ by {points} on the same tasks."


def _adapted(metalearner: MetaLearner) -> Method:
    def method(task: Task, number: int) -> Tensor:
        return metalearner.predict(metalearner.adapt(task.support, task.way), task.query.x)

    return method
