"""A submitted run goes through all four steps in processes of its own, and can be stopped and resumed."""

from __future__ import annotations

import time

import pytest

from metalab.applications import applications
from metalab.baselines import BASELINES
from metalab.config import Config
from metalab.inspection import TaskView
from metalab.jobs import LocalBackend
from metalab.runs import Run, RunStore, Status

APPLICATIONS = applications()
TINY = {
    "image_size": 16,
    "width": 8,
    "way": 3,
    "pretrain_steps": 10,
    "validate_every": 5,
    "validation_tasks": 8,
    "test_tasks": 8,
}


def wait(backend: LocalBackend, run: Run, *states: str) -> Status:
    deadline = time.monotonic() + 120
    while (status := backend.status(run)).state not in states:
        assert time.monotonic() < deadline, status
        assert not status.ended, status
        time.sleep(0.1)
    return status


def test_run_to_the_end() -> None:
    run, backend = RunStore().create(Config.create(**TINY, steps=10)), LocalBackend()
    backend.submit(run)
    wait(backend, run, "done")
    assert [event["step"] for event in run.history("train")] == list(range(1, 11))
    assert [event["step"] for event in run.history("validation")] == [0, 5, 10]
    evaluation = run.read_json("evaluation")
    assert next(row["method"] for row in evaluation["rows"]) == "protonet"
    assert len(evaluation["rows"]) == 1 + len(BASELINES)
    assert evaluation["verdict"]


@pytest.mark.parametrize("application", ["segmentation", "detection"])
def test_runs_of_pictures_to_the_end(application: str) -> None:
    small = {"width": 8, "pretrain_steps": 3, "validate_every": 3, "validation_tasks": 2, "test_tasks": 2}
    config = Config.create(application=application, shot=1, query=2, steps=3, **small)
    run, backend = RunStore().create(config), LocalBackend()
    backend.submit(run)
    wait(backend, run, "done")
    evaluation = run.read_json("evaluation")
    assert evaluation["metric"] == {"segmentation": "mean IoU", "detection": "AP50"}[application]
    assert len(evaluation["rows"]) == 1 + len(APPLICATIONS[application].baselines)
    view = TaskView.from_arrays(run.read_arrays("view"), run.read_json("view"))
    assert view.classes[0] == "(background)"
    assert [stage.name for stage in view.stages] == ["pre-trained", "adapted"]


def test_stop_and_resume() -> None:
    run, backend = RunStore().create(Config.create(**TINY, steps=3000, patience=9999)), LocalBackend()
    backend.submit(run)
    while not run.history("train"):
        wait(backend, run, "queued", "running")
        time.sleep(0.1)
    backend.cancel(run)
    wait(backend, run, "stopped")
    before = run.history("train")[-1]["step"]
    assert run.checkpoint("last").exists()
    backend.submit(run)
    while not run.history("train") or run.history("train")[-1]["step"] <= before:
        wait(backend, run, "queued", "running")
        time.sleep(0.1)
    steps = [event["step"] for event in run.history("train")]
    assert steps == list(range(1, len(steps) + 1)), "no step twice, none missing"
    backend.cancel(run)
    wait(backend, run, "stopped")
