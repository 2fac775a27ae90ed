"""The table of numbers: intervals, paired differences, verdicts, and the same tasks for every row."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from metalab import evaluation
from metalab.backbones import create_backbone
from metalab.config import Config
from metalab.data import create_source
from metalab.errors import DataError
from metalab.evaluation import Difference, Evaluation, Row, evaluate, mean_interval, verdict
from metalab.metalearners import check_options, get_metalearner
from metalab.tasks import Task, TaskShape

CONFIG = Config.create(image_size=16, width=8)
SHAPE = TaskShape(3, 1, 4)


def table(n_tasks: int, name: str = "protonet") -> Evaluation:
    backbone = create_backbone(CONFIG).eval()
    learner = get_metalearner(name)(create_backbone(CONFIG), check_options(name, {}))
    events = list(evaluate(learner, backbone, create_source(CONFIG), SHAPE, n_tasks))
    assert [event.step for event in events[:-1]] == sorted(event.step for event in events[:-1])
    assert events[-2].step == events[-2].steps
    return events[-1]


def test_interval_is_the_normal_95_percent_one() -> None:
    values = np.random.default_rng(0).uniform(size=600)
    mean, half = mean_interval(values)
    low, high = stats.norm.interval(0.95, values.mean(), stats.sem(values))
    assert math.isclose(mean - half, low, rel_tol=1e-4)
    assert math.isclose(mean + half, high, rel_tol=1e-4)


def test_every_row_meets_the_same_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[Tensor]] = {"a": [], "b": []}

    def make(name: str):
        def method(task: Task, number: int) -> Tensor:
            seen[name].append(task.query.x)
            return torch.nn.functional.one_hot(task.query.y, task.way).float()

        return lambda backbone: method

    monkeypatch.setattr(evaluation, "task_runner", lambda *_: evaluation_runner())
    known = evaluation.application("image-classification")
    both = replace(known, baselines=[("a", "A", make("a")), ("b", "B", make("b"))])
    monkeypatch.setattr(evaluation, "application", lambda name: both)
    result = table(11)
    assert len(seen["a"]) == len(seen["b"]) == 11
    assert all(torch.equal(a, b) for a, b in zip(seen["a"], seen["b"], strict=True))
    own = result.rows[0]
    assert [row.accuracy for row in result.rows[1:]] == [1.0, 1.0]
    for difference in result.differences:
        assert math.isclose(difference.difference, own.accuracy - 1)
        assert math.isclose(difference.interval, own.interval), "paired with a constant"


def evaluation_runner():
    from contextlib import nullcontext

    from metalab.execution import Runner

    return nullcontext(Runner("loop"))


def test_all_baselines_stand_beside_the_metalearner_and_repeat() -> None:
    first, second = table(8), table(8)
    assert [row.method for row in first.rows] == [
        "protonet",
        "un-adapted",
        "nearest-centroid",
        "logistic-regression",
        "fine-tuned",
        "cosine-fine-tuned",
        "from-scratch",
    ]
    assert first == second
    rows = {row.method: row for row in first.rows}
    assert abs(rows["un-adapted"].accuracy - 1 / 3) < 0.2, "chance"
    assert not any(row.transductive for row in first.rows)
    assert {row.tasks for row in first.rows} == {8}


ROWS = [
    Row("own", "Own", "metalearner", 0.9, 0.01, 600),
    Row("a", "A", "baseline", 0.8, 0.01, 600),
    Row("b", "B", "baseline", 0.85, 0.01, 600),
]


@pytest.mark.parametrize(
    ("gain", "interval", "words"),
    [
        (0.05, 0.01, r"Own helps: 5.0 ± 1.0 points better than the best baseline \(B\)"),
        (-0.05, 0.01, "Own does not pay here: B is 5.0 ± 1.0 points better. Use B instead"),
        (0.005, 0.01, "No clear gain: Own and B"),
        (-0.005, 0.01, "No clear gain: Own and B"),
    ],
)
def test_verdict(gain: float, interval: float, words: str) -> None:
    differences = [Difference("own", "a", gain + 0.02, 0.001), Difference("own", "b", gain, interval)]
    assert re.match(words, verdict(ROWS[0], ROWS, differences))
    assert differences[1].better == (gain > interval)


def test_several_metalearners_share_one_table() -> None:
    learners = {
        name: get_metalearner("protonet")(create_backbone(CONFIG), check_options("protonet", {}))
        for name in ("first", "second")
    }
    *_, result = evaluate(learners, create_backbone(CONFIG).eval(), create_source(CONFIG), SHAPE, 8)
    assert [row.label for row in result.rows[:2]] == ["ProtoNet (first)", "ProtoNet (second)"]
    assert result.rows[0].accuracy == result.rows[1].accuracy
    assert len(result.differences) == 2 * 6
    assert result.verdict.count("ProtoNet (first)") == result.verdict.count("ProtoNet (second)") == 1


def test_tasks_that_cannot_be_formed_are_refused() -> None:
    learner = get_metalearner("protonet")(create_backbone(CONFIG), check_options("protonet", {}))
    with pytest.raises(DataError, match="500-way"):
        list(evaluate(learner, create_backbone(CONFIG), create_source(CONFIG), TaskShape(500, 1, 1), 8))
