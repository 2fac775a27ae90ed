"""Curves over shots and inner steps: measured once, by one process, kept on disk; errors in words."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small import learner

from metalab import curves, plots_compare
from metalab.config import Config
from metalab.curves import Question, answer, ask, finished, forget, stepping_further
from metalab.data import create_source
from metalab.storage import try_lock
from metalab.tasks import TaskShape


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METALAB_HOME", str(tmp_path))
    return tmp_path


def wait_for(*questions: Question) -> None:
    deadline = time.monotonic() + 300
    while ask(questions):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_measured_in_the_background_and_kept(home: Path) -> None:
    question = Question("protonet", 1.0, way=2, tasks=2)
    assert answer(question) is None
    wait_for(question)
    known = answer(question)
    assert known is not None
    assert (known["error"], known["done"], known["steps"]) == (None, 1.0, [])
    methods = {point["method"] for point in known["shots"]}
    assert methods == {"protonet", *curves.BASELINES}
    assert [point["at"] for point in known["shots"] if point["method"] == "protonet"] == list(curves.SHOTS)
    written = question.path.stat().st_mtime_ns
    assert not ask([question]), "nothing left to measure"
    assert question.path.stat().st_mtime_ns == written
    assert answer(Question("protonet", 2.0, way=2, tasks=2)) is None, "a model trained again is another"
    forget([question])
    assert not finished(question)


def test_a_model_that_is_gone_is_an_answer_in_words(home: Path) -> None:
    question = Question("20200101-nobody", 1.0)
    wait_for(question)
    known = answer(question)
    assert known is not None
    assert "neither a shipped model nor a run" in known["error"]
    assert not ask([question]), "not tried for ever"


def test_one_process_measures_at_a_time(home: Path) -> None:
    (home / "curves").mkdir()
    held = try_lock(home / "curves" / "lock")
    assert held is not None
    question = Question("protonet", 1.0, way=2, tasks=2)
    assert ask([question]), "somebody else measures: still to come"
    assert answer(question) is None
    os.close(held)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}'])
def test_a_damaged_answer_is_measured_again(home: Path, content: str) -> None:
    question = Question("protonet", 1.0)
    question.path.parent.mkdir()
    question.path.write_text(content)
    assert answer(question) is None
    assert not finished(question)


@pytest.mark.parametrize(("name", "steps"), [("maml", curves.STEPS), ("mamlpp", 3), ("anil", curves.STEPS)])
def test_steps_go_on_only_where_they_are_alike(name: str, steps: int) -> None:
    made = learner(name, inner_steps=3).float()
    source = create_source(Config.create(image_size=16))
    *_, (share, values) = curves.step_accuracies(made, source, TaskShape(3, 1, 4), 2)
    assert share == 1
    assert values.shape == (2, steps + 1)
    assert made.options.inner_steps == 3, "the learner itself stays as it was"


def test_a_step_of_the_curve_is_that_of_the_method() -> None:
    made = learner("maml", inner_steps=2)
    source = create_source(Config.create(image_size=16))
    task = source.sample(1, "validation", TaskShape(3, 1, 4), torch.Generator().manual_seed(0))[0]
    x = task.support.x.double()
    support = type(task.support)(x, task.support.y)
    expected = made.adapt(support, 3)
    path = list(stepping_further(made).path(support, 3).values())
    for name, value in path[2].items():
        np.testing.assert_allclose(value.detach(), expected[name].detach(), rtol=1e-9)


def test_baselines_of_one_backbone_are_drawn_once() -> None:
    def known(name: str, base: float) -> dict:
        points = [
            {"method": m, "label": m, "kind": k, "at": at, "accuracy": a, "interval": 0.1}
            for m, k, a in ((name, "metalearner", 0.9), ("frozen", "baseline", base))
            for at in (1, 5)
        ]
        return {"shots": points, "steps": [], "inner_steps": None}

    same = plots_compare.sweep({"A": known("a", 0.5), "B": known("b", 0.5)}, "shots")
    assert [trace.name for trace in same.data] == ["A", "frozen", "B"]
    other = plots_compare.sweep({"A": known("a", 0.5), "B": known("b", 0.6)}, "shots")
    assert len(other.data) == 4
    assert json.loads(same.to_json())["data"][1]["line"]["dash"] == "dash"
