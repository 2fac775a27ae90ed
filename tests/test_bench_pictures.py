"""The table of masks and boxes: further scores of the same outputs, a shape alone, slow methods bounded."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from metalab import baselines_dense
from metalab.bench import pictures
from metalab.cli import main
from metalab.data.scenes import SceneSource
from metalab.evaluation import TEST_SEED, mean_interval
from metalab.metrics import coco_scores, mask_scores
from metalab.shipped import load_trained
from metalab.tasks import TaskShape, task_list

TASKS, SHAPE = 3, TaskShape(2, 1, 2)
COMMAND = ["--tasks", str(TASKS), "--slow-tasks", "2", "--shapes", "2-1"]
SCORES = {
    "segmentation": ("guided-masks", "masks", mask_scores),
    "detection": ("guided-boxes", "boxes", coco_scores),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SCRATCH_STEPS", "HEAD_STEPS"):
        monkeypatch.setattr(baselines_dense, name, 1)


@pytest.mark.parametrize("application", list(SCORES))
def test_further_scores_are_of_the_same_outputs(
    application: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, target, scores = SCORES[application]
    learner, asked = load_trained(name).metalearner, []
    predict = type(learner).predict
    by_hand = []
    for batch in task_list(SceneSource(64, target), TASKS, "test", SHAPE, TEST_SEED):
        with torch.no_grad():
            outputs = [predict(learner, learner.adapt(one.support, 2), one.query.x) for one in batch]
        by_hand += [scores(out, one.query.y) for out, one in zip(outputs, batch, strict=True)]

    def counted(self, state, x):
        asked.append(len(x))
        return predict(self, state, x)

    monkeypatch.setattr(type(learner), "predict", counted)
    assert main(["bench", "pictures", application, *COMMAND, "--json"]) == 0
    assert asked == [4] * TASKS, "nothing is predicted twice"
    table = json.loads(capsys.readouterr().out)
    row = next(row for row in table["rows"] if row["method"] == name)
    found = {table["metric"]: [row["accuracy"], row["interval"]]}
    found |= {score: held[name] for score, held in table["further"].items()}
    assert set(found) == set(by_hand[0])
    for score, values in found.items():
        expected = mean_interval(np.array([one[score] for one in by_hand]))
        np.testing.assert_allclose(values, expected, rtol=1e-5, err_msg=score)
    assert {row["method"]: row["tasks"] for row in table["rows"]}["from-scratch"] == 2, "slow"


def test_the_table_names_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pictures", "detection", *COMMAND, "--slow", "fine-tuned"]) == 0
    title, columns, best, *_ = lines = capsys.readouterr().out.splitlines()
    assert title == "detection, 2-way 1-shot, in %"
    assert columns.split() == ["AP50", "AP", "AR", "tasks"]
    assert best.split()[:2] == ["Guided", "decoder"]
    assert best.count("±") == 3
    assert best.split()[-1] == str(TASKS)
    tasks = {line.split("  ")[1]: line.split()[-1] for line in lines[2:-1]}
    assert tasks["Frozen features + fine-tuned head (TFA)"] == "2"
    assert tasks["From scratch on the support set"] == str(TASKS)


@pytest.mark.parametrize("flag", ["--only", "--slow"])
def test_unknown_methods_are_named(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pictures", "detection", *COMMAND, flag, "reweighting", "nosuch"]) == 2
    error = capsys.readouterr().err
    assert f"{flag}: unknown: nosuch" in error
    assert "anil-boxes" in error


@pytest.mark.parametrize("flag", ["--tasks", "--slow-tasks"])
def test_an_interval_needs_two_tasks(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pictures", "detection", flag, "1"]) == 2
    assert "at least two tasks" in capsys.readouterr().err


def test_a_shape_that_cannot_be_drawn_is_refused_before_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pictures", "detection", "--steps", "9999", "--shapes", "1-1", "500-1"]) == 2
    assert "500" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["5", "5x1", "0-1", "1-0", "-1-1", "1-1-1", ""])
def test_a_shape_that_is_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pictures", "detection", f"--shapes={text}"]) == 2
    assert "--shapes" in capsys.readouterr().err


def test_shapes_of_the_table() -> None:
    shapes = [pictures.shape_of(text) for text in pictures.SHAPES]
    assert [(one.way, one.shot, one.query) for one in shapes] == [(1, 1, 5), (1, 5, 5), (5, 1, 2), (5, 5, 2)]
