"""The table of masks and boxes: further scores of the same outputs, a shape alone, slow methods bounded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metalab import baselines_dense
from metalab.bench import adapt, pictures
from metalab.bench.photo_tasks import MEMBERS, CropSource, LabelledPhoto, StampScenes, labelled_photos
from metalab.cli import main
from metalab.data.fitting import OBJECT
from metalab.data.scenes import SceneSource
from metalab.errors import DataError
from metalab.evaluation import TEST_SEED, mean_interval
from metalab.metrics import coco_scores, mask_scores
from metalab.shipped import load_trained
from metalab.tasks import TaskShape, task_list

TASKS, SHAPE = 3, TaskShape(2, 1, 2)
EVERY = ["--tasks", str(TASKS), "--slow-tasks", "2", "--shapes"]
COMMAND = [*EVERY, "2-1", "--backbones", "pyramid"]
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


def test_both_backbones_meet_the_same_photographs(capsys: pytest.CaptureFixture[str]) -> None:
    """Each table has both meta-learners, frozen features of both backbones, and the rest once."""
    assert main(["bench", "pictures", "detection", *EVERY, "1-1", "--photos", "--json"]) == 0
    tables = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    things = [name for name, photo in labelled_photos().items() if photo.things]
    assert [table["place"] for table in tables] == [f"photo of {name}" for name in things]
    for table in tables:
        methods = [row["method"] for row in table["rows"]]
        assert methods.count("from-scratch") == 1
        assert {"guided-boxes", "guided-boxes-photo", "fine-tuned", "fine-tuned, photo-pyramid"} <= {*methods}
        assert {row["tasks"] for row in table["rows"]} <= {2, TASKS}


def test_times_of_adapting_name_every_ready_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapt, "PICTURES", (TaskShape(1, 1, 1),))
    monkeypatch.setattr(adapt, "SIDE", 64)
    lines = list(adapt.pictures(1))
    told = "guided-masks guided-masks-photo segmentation guided-boxes guided-boxes-photo detection"
    assert [line.split()[0] for line in lines] == told.split()
    assert all("1-way 1-shot, 64 pixels: median 0." in line for line in lines)


def test_unknown_backbones_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pictures", "detection", *EVERY, "1-1", "--backbones", "conv4"]) == 2
    assert "photo-pyramid" in capsys.readouterr().err


@pytest.mark.parametrize("place", [["--photos"], ["--stamps", "nowhere"]])
def test_photographs_are_all_held_out(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pictures", "segmentation", *EVERY, "1-1", "--validation", *place]) == 2
    assert "all held out" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["masks", "boxes"])
def test_support_and_query_are_of_different_halves_of_a_photograph(target: str) -> None:
    """Every pixel tells where it lies: no two halves share one."""
    rows, columns = np.meshgrid(np.arange(120), np.arange(160), indexing="ij")
    image = np.stack([rows, columns, np.full_like(rows, 128)], -1).astype(np.uint8)
    parts = np.zeros((120, 160), int)
    for number, (top, left) in enumerate([(r, c) for r in range(5, 110, 20) for c in range(5, 150, 20)], 1):
        parts[top : top + 12, left : left + 12] = number
    source = CropSource(LabelledPhoto(image, parts, 48, True), target)
    batch = source.sample(12, "test", TaskShape(1, 3, 3), torch.Generator().manual_seed(0))
    for task in batch:
        ours, theirs = (part.x[:, :2].transpose(0, 1).flatten(1) * 255 for part in (task.support, task.query))
        apart = [a.max() <= b.min() + 1 or b.max() <= a.min() + 1 for a, b in zip(ours, theirs, strict=True)]
        assert any(apart)
        named = task.query.y.flatten(1) if target == "masks" else task.query.y[..., 0] + 1
        assert (named.amax(1) == 1).all(), "each shows an object"
    assert abs(source.size * 12 / 48 - OBJECT) <= 4, (
        "objects of 12 pixels in 48 are as large as in meta-training"
    )
    with pytest.raises(DataError, match="one class"):
        source.check(TaskShape(2, 1, 1), "test")


def test_stamps_of_support_and_query_differ(tmp_path: Path) -> None:
    """Stamps are of one colour each: support scenes show even ones of a kind, query scenes odd ones."""
    for kind in range(3):
        for number in range(MEMBERS):
            stamp = np.zeros((30, 30, 4), np.uint8)
            stamp[5:25, 5:25] = (255 * (number % 2), 80 * kind, 255 * (1 - number % 2), 255)
            path = tmp_path / "things" / f"kind{kind}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(stamp).save(path)
    source = StampScenes(tmp_path, 64, "masks")
    source._grounds = [torch.zeros(3, 80, 80)]
    batch = source.sample(3, "test", TaskShape(1, 2, 2), torch.Generator().manual_seed(0))
    for task in batch:
        for part, channel in ((task.support, 2), (task.query, 0)):
            seen = part.x.transpose(0, 1)[:, part.y == 1]
            assert seen[channel].mean() > 3 * seen[2 - channel].mean()
    with pytest.raises(DataError, match="two kinds"):
        StampScenes(tmp_path / "things" / "kind0", 64, "masks")
