"""Separation over many tasks: the numbers, and the process that measures them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from views import CONFIG, small

from metalab.data import create_source
from metalab.embeddings import scores
from metalab.evaluation import TEST_SEED
from metalab.inspection import inspect_task
from metalab.progress import Progress
from metalab.separations import Look, Order, look, separations, start
from metalab.shipped import shipped
from metalab.tasks import TaskShape, task_list

SHAPE = TaskShape(3, 2, 4)


def test_numbers_are_those_of_each_task_and_paired() -> None:
    learner, backbone, _ = small("maml", inner_lr=0.1)
    *events, result = separations(learner, backbone, create_source(CONFIG), SHAPE, 10)
    assert [event.step for event in events] == list(range(1, 11))
    assert all(isinstance(event, Progress) for event in events)
    tasks = [
        task for batch in task_list(create_source(CONFIG), 10, "test", SHAPE, TEST_SEED) for task in batch
    ]
    views = [inspect_task(learner, backbone, task) for task in tasks]
    for row in result["rows"]:
        expected = [
            [getattr(scores(view.stages[i].features, view.labels), row["measure"]) for i in (0, -1)]
            for view in views
        ]
        np.testing.assert_allclose(row["values"], expected, atol=1e-4)
        before, after = np.array(row["values"]).T
        assert row["difference"][0] == pytest.approx((after - before).mean())
        assert row["difference"][1] == pytest.approx(1.96 * (after - before).std(ddof=1) / 10**0.5)
    assert 0 < result["cka"][0] <= 1


def order(model: str = "protonet", tasks: int = 3) -> Order:
    found = shipped()[model] if model in shipped() else next(iter(shipped().values()))
    return Order(model, found.path.stat().st_mtime, found.config.to_json(), None, 3, 1, 2, tasks)


def wait(asked: Order) -> Look:
    while (seen := look(asked)).state == "running":
        time.sleep(0.05)
    return seen


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METALAB_HOME", str(tmp_path))
    return tmp_path


def test_measured_once_in_the_background(home: Path) -> None:
    asked = order()
    assert look(asked).state == "none"
    start(asked)
    start(asked)
    seen = wait(asked)
    assert seen.state == "done", seen.message
    assert seen.result["tasks"] == 3
    written = (asked.folder / "result.json").stat().st_mtime_ns
    start(asked)
    assert (asked.folder / "result.json").stat().st_mtime_ns == written
    assert order(tasks=4).folder != asked.folder


def test_what_goes_wrong_is_told_and_can_be_tried_again(home: Path) -> None:
    asked = order("of yesterday")
    start(asked)
    seen = wait(asked)
    assert seen.state == "failed"
    assert "of yesterday" in seen.message


def test_a_killed_process_is_noticed(home: Path) -> None:
    asked = order(tasks=100_000)
    process = start(asked)
    assert look(asked).state == "running"
    assert start(asked) is None, "it is under way"
    os.kill(process, signal.SIGKILL)
    seen = wait(asked)
    assert seen.state == "failed"
    assert "Start it again" in seen.message


def test_a_damaged_result_is_measured_again(home: Path) -> None:
    asked = order()
    asked.folder.mkdir(parents=True)
    (asked.folder / "result.json").write_text("{")
    assert look(asked).state == "none"
    start(asked)
    assert wait(asked).state == "done"
