"""Step 4, task learning, judged: held-out tasks, baselines on the very same tasks, paired differences."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones import Backbone
from metalab.execution import task_runner
from metalab.metalearners import MetaLearner
from metalab.metalearners.base import accuracy, class_means, squared_distances
from metalab.progress import Progress
from metalab.tasks import Split, Task, TaskShape, TaskSource, seeded, task_list

TEST_SEED = 2_000_003
"""Seed of the fixed held-out tasks: every method and every run meets the same ones."""
SCRATCH_STEPS, SCRATCH_RATE = 100, 1e-2

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
    """Paired difference of the meta-learner less a baseline over the same tasks, with its 95 % interval."""

    baseline: str
    difference: float
    interval: float

    @property
    def better(self) -> bool:
        """Whether the meta-learner is better beyond the interval."""
        return self.difference > self.interval


@dataclass(frozen=True)
class Evaluation:
    """A table of results on one list of held-out tasks."""

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
    metalearner: MetaLearner,
    pretrained: Backbone,
    source: TaskSource,
    shape: TaskShape,
    n_tasks: int,
    *,
    split: Split = "test",
    baselines: bool = True,
) -> Iterator[Progress | Evaluation]:
    """Yield progress, last an :class:`Evaluation` of ``metalearner`` and the baselines on the same tasks.

    ``pretrained`` is the backbone before meta-learning, on which the baselines stand. Raises
    :class:`DataError` if ``source`` cannot form the tasks.
    """
    device = next(metalearner.parameters()).device

    def adapted(task: Task, number: int) -> Tensor:
        return metalearner(task.support, task.query, task.way)[1]

    methods: dict[str, tuple[str, str, Method]] = {
        metalearner.name: (metalearner.label, "metalearner", adapted)
    }
    if baselines:
        methods |= {name: (label, "baseline", make(pretrained)) for name, label, make in BASELINES}
    results = {name: [] for name in methods}
    total, started = len(methods) * n_tasks, time.monotonic()
    with task_runner("threads" if device.type == "cpu" else "loop", device) as runner:
        for at, (name, (label, _, method)) in enumerate(methods.items()):
            number = 0
            for batch in task_list(source, n_tasks, split, shape, TEST_SEED, device):

                def one(item: tuple[int, Task], method: Method = method) -> float:
                    with torch.no_grad():
                        return accuracy(method(item[1], item[0]), item[1].query).item()

                results[name] += runner.map(one, enumerate(batch, number))
                number += len(batch)
                done = at * n_tasks + number
                rate = done / (time.monotonic() - started)
                yield Progress("evaluate", done, total, rate=rate, eta=(total - done) / rate, message=label)
    rows = [
        Row(
            name,
            label,
            kind,
            *mean_interval(np.array(results[name])),
            n_tasks,
            pretrained.transductive if kind == "baseline" else metalearner.transductive,
        )
        for name, (label, kind, _) in methods.items()
    ]
    own = np.array(results[metalearner.name])
    differences = [
        Difference(name, *mean_interval(own - np.array(results[name])))
        for name, (_, kind, _) in methods.items()
        if kind == "baseline"
    ]
    yield Evaluation(rows, differences, verdict(rows, differences), shape.way, shape.shot, split, TEST_SEED)


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the mean of ``values`` (n,) and half its normal 95 % interval."""
    spread = values.std(ddof=1) if len(values) > 1 else math.nan
    return float(values.mean()), float(1.96 * spread / math.sqrt(len(values)))


def verdict(rows: list[Row], differences: list[Difference]) -> str:
    """Return one plain sentence: does meta-learning help here, against the best baseline?"""
    if not differences:
        return f"{rows[0].label} reaches {rows[0].accuracy:.1%}; no baselines were asked for."
    by_name = {row.method: row for row in rows}
    best = min(differences, key=lambda difference: difference.difference)
    label, points = by_name[best.baseline].label, f"{abs(best.difference):.1%} ± {best.interval:.1%}"
    if best.better:
        return f"{rows[0].label} helps: {points} better than the best baseline ({label}) on the same tasks."
    if best.difference < -best.interval:
        return f"{rows[0].label} does not pay here: {label} is {points} better. Use {label} instead."
    return f"No clear gain: {rows[0].label} and {label} differ by {points} on the same tasks."


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

    Adam, at most 100 full-batch steps, until the training loss is below 0.01; running statistics, if any,
    are those of the support set.
    """

    def method(task: Task, number: int) -> Tensor:
        with torch.enable_grad():
            model = backbone.fresh(number).requires_grad_(True).train()
            head = nn.Parameter(torch.zeros(task.way, backbone.feature_dim, device=task.support.x.device))
            optimiser = torch.optim.Adam([*model.parameters(), head], lr=SCRATCH_RATE)
            for _ in range(SCRATCH_STEPS):
                loss = F.cross_entropy(model(task.support.x) @ head.t(), task.support.y)
                if loss.item() < 0.01:
                    break
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
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
