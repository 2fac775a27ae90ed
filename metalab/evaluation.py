"""Step 4, task learning, judged: held-out tasks, baselines on the very same tasks, paired differences."""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from metalab.backbones import Backbone
from metalab.execution import task_runner
from metalab.metalearners import MetaLearner
from metalab.metalearners.base import class_means, score, squared_distances
from metalab.progress import Progress
from metalab.tasks import Split, Task, TaskShape, TaskSource, seeded, task_list

TEST_SEED = 2_000_003
"""Seed of the fixed held-out tasks: every method and every run meets the same ones."""
FEW_TASKS = 100
"""Below so many tasks an interval says little, and the verdict says so."""
SCRATCH_STEPS, SCRATCH_RATE = 100, 3e-3

Method = Callable[[Task, int], Tensor]
"""(task, number of the task) → logits (n_query, way)."""


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
    """A table of results on one list of held-out tasks; ``verdict`` has one sentence a meta-learner."""

    rows: list[Row]
    differences: list[Difference]
    verdict: str
    way: int
    shot: int
    split: Split
    seed: int

    def as_dict(self) -> dict:
        """Return plain JSON-able data."""
        return asdict(self)


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
    if isinstance(metalearners, MetaLearner):
        metalearners = {metalearners.name: metalearners}
    device = pretrained.input_mean.device
    labels = Counter(learner.label for learner in metalearners.values())
    methods: dict[str, tuple[str, str, bool, Method]] = {}
    for name, learner in metalearners.items():
        label = learner.label if labels[learner.label] == 1 else f"{learner.label} ({name})"
        methods[name] = (label, "metalearner", learner.transductive, _adapted(learner))
    if baselines:
        for name, label, make in BASELINES:
            methods[name] = (label, "baseline", pretrained.transductive, make(pretrained))
    results: dict[str, list[float]] = {name: [] for name in methods}
    total, started = len(methods) * n_tasks, time.monotonic()
    # One BLAS thread a task: with two on two cores, logistic regression took ten times as long.
    with threadpool_limits(1), task_runner("threads" if device.type == "cpu" else "loop", device) as runner:
        for at, (name, (label, *_, method)) in enumerate(methods.items()):
            number = 0
            for batch in task_list(source, n_tasks, split, shape, TEST_SEED, device):

                def one(item: tuple[int, Task], method: Method = method) -> float:
                    with torch.no_grad():
                        return score(method(item[1], item[0]), item[1].query).item()

                results[name] += runner.map(one, enumerate(batch, number))
                number += len(batch)
                done = at * n_tasks + number
                rate = done / (time.monotonic() - started)
                yield Progress("evaluate", done, total, rate=rate, eta=(total - done) / rate, message=label)
    values = {name: np.array(held) for name, held in results.items()}
    rows = [
        Row(name, label, kind, *mean_interval(values[name]), n_tasks, transductive)
        for name, (label, kind, transductive, _) in methods.items()
    ]
    differences = [
        Difference(own.method, other.method, *mean_interval(values[own.method] - values[other.method]))
        for own in rows
        for other in rows
        if own.kind == "metalearner" and other.kind == "baseline"
    ]
    sentences = " ".join(verdict(row, rows, differences) for row in rows if row.kind == "metalearner")
    if n_tasks < FEW_TASKS:
        sentences += f" Only {n_tasks} tasks were measured: too few to rely on."
    yield Evaluation(rows, differences, sentences, shape.way, shape.shot, split, TEST_SEED)


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
        return metalearner(task.support, task.query, task.way)[1]

    return method


def _unadapted(backbone: Backbone) -> Method:
    """The pre-trained backbone under a random head that has seen no example of the task: chance level."""

    def method(task: Task, number: int) -> Tensor:
        features = backbone(task.query.x)
        head = torch.randn(
            task.way, features.shape[1], device=features.device, generator=seeded(features.device, number)
        )
        return F.normalize(features, dim=1) @ head.t()

    return method


def _from_scratch(backbone: Backbone) -> Method:
    """The same architecture, newly initialised, trained with a linear head on the support set alone.

    Adam, at most 100 full-batch steps, until the training loss is below 0.01 (settings chosen on
    meta-validation). Running statistics, if any, are those of the support set at the end.
    """

    def method(task: Task, number: int) -> Tensor:
        with torch.enable_grad():
            model = backbone.fresh(number).requires_grad_(True).train()
            model.momentum = 1.0
            head = nn.Parameter(torch.zeros(task.way, backbone.feature_dim, device=task.support.x.device))
            optimiser = torch.optim.Adam([*model.parameters(), head], lr=SCRATCH_RATE)
            for _ in range(SCRATCH_STEPS):
                loss = F.cross_entropy(model(task.support.x) @ head.t(), task.support.y)
                if loss.item() < 0.01:
                    break
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            model(task.support.x)  # measures the statistics under the last parameters
        return model.eval()(task.query.x) @ head.t()

    return method


def nearest_centroid(backbone: Backbone) -> Method:
    """Frozen pre-trained features, unit length, and the nearest class mean (SimpleShot's L2N)."""

    def method(task: Task, number: int) -> Tensor:
        support = F.normalize(backbone(task.support.x), dim=1)
        means = class_means(support, task.support, task.way)
        return -squared_distances(F.normalize(backbone(task.query.x), dim=1), means)

    return method


def _logistic_regression(backbone: Backbone) -> Method:
    """Frozen pre-trained features, unit length, and logistic regression (RFS, Tian et al. 2020)."""
    from sklearn.linear_model import LogisticRegression

    def method(task: Task, number: int) -> Tensor:
        support = F.normalize(backbone(task.support.x), dim=1).cpu().numpy()
        query = F.normalize(backbone(task.query.x), dim=1).cpu().numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(C=10.0, max_iter=1000).fit(support, task.support.y.cpu().numpy())
        scores = model.decision_function(query)
        if task.way == 2:
            scores = np.stack([-scores, scores], axis=1)
        return torch.from_numpy(scores).to(task.query.x)

    return method


BASELINES: list[tuple[str, str, Callable[[Backbone], Method]]] = [
    ("un-adapted", "Un-adapted", _unadapted),
    ("nearest-centroid", "Frozen features + nearest centroid", nearest_centroid),
    ("logistic-regression", "Frozen features + logistic regression", _logistic_regression),
    ("from-scratch", "From scratch on the support set", _from_scratch),
]
