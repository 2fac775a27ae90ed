"""The command line, from outside: status, one-line errors, no half-written files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from metalab.cli import main
from metalab.config import Config
from metalab.runs import RunStore

TINY = ["--image-size", "16", "--width", "8", "--way", "3", "--pretrain-steps", "10", "--steps", "6"]
TINY += ["--validate-every", "3", "--validation-tasks", "8", "--test-tasks", "8"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three classes of real digits, dark on light as a scanner gives them."""
    folder = tmp_path_factory.mktemp("digits")
    bunch = load_digits(n_class=3)
    for number, (image, label) in enumerate(zip(bunch.images[:60], bunch.target[:60], strict=True)):
        (folder / f"digit {label}").mkdir(exist_ok=True)
        pixels = Image.fromarray((255 - image / 16 * 255).astype(np.uint8)).resize((40, 40))
        pixels.save(folder / f"digit {label}" / f"{number:03}.png")
    return folder


@pytest.fixture(scope="module")
def run_id(metalab_home: Path) -> str:
    before = {run.id for run in RunStore().list()}
    assert main(["train", "--name", "from the command line", "--metalearner", "maml", *TINY]) == 0
    (run,) = (run for run in RunStore().list() if run.id not in before)
    return run.id


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str], *words: str) -> None:
    """The command ends with status 2 and one line that has all ``words``."""
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1, error
    assert error[0].startswith("metalab: ")
    for word in words:
        assert word in error[0]


def test_help_teaches() -> None:
    for command in ("", "pretrain", "train", "resume", "evaluate", "adapt", "predict", "runs"):
        done = subprocess.run(
            [sys.executable, "-m", "metalab", *command.split(), "--help"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) > 4
        assert "Traceback" not in done.stderr


def test_train_shows_the_table_and_keeps_the_run(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert f"{run_id}  done" in capsys.readouterr().out
    assert main(["runs", run_id]) == 0
    shown = capsys.readouterr().out
    for words in ("from the command line: done", "Frozen features + nearest centroid", '"seed": 0'):
        assert words in shown


def test_runs_stops_shows_and_deletes(capsys: pytest.CaptureFixture[str]) -> None:
    run = RunStore().create(Config.create(), "to be deleted")
    refused(capsys, ["runs", run.id, "--stop"], "not active")
    run.log_path.write_text("the last line\n")
    assert main(["runs", run.id, "--log"]) == 0
    assert "the last line" in capsys.readouterr().out
    assert main(["runs", run.id, "--delete"]) == 0
    assert not run.path.exists()
    refused(capsys, ["runs", "--delete"], "which run?")


def test_resume_of_a_finished_run_is_refused(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["resume", run_id], "The run is done", "Start a new run")


def test_adapt_then_predict(
    run_id: str, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "mine.safetensors"
    support = tmp_path / "support"
    for folder in sorted(digits.iterdir()):
        (support / folder.name).mkdir(parents=True)
        for image in sorted(folder.iterdir())[:5]:
            (support / folder.name / image.name).write_bytes(image.read_bytes())
    queries = [image for folder in sorted(digits.iterdir()) for image in sorted(folder.iterdir())[5:15]]
    for which in (run_id, "protonet"):
        assert main(["adapt", "--model", which, "--support", str(support), "--out", str(model)]) == 0
        capsys.readouterr()
        assert main(["predict", "--model", str(model), *map(str, queries)]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [row["image"] for row in rows] == [str(query) for query in queries]
        right = np.mean([row["class"] == Path(row["image"]).parent.name for row in rows])
        assert right > (0.9 if which == "protonet" else 0.5), which


def test_evaluate_on_another_source(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "--model", "protonet", "--source", "digits", "--way", "10", "--tasks", "8"]
    assert main([*arguments, "--format", "json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["way"] == 10
    assert len(table["rows"]) == 7
    assert main(arguments) == 0
    assert "Frozen features + logistic regression" in capsys.readouterr().out


def test_pretrain_then_train_with_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "backbone.safetensors"
    assert main(["pretrain", "--out", str(file), *TINY[:4], "--pretrain-steps", "5"]) == 0
    assert file.is_file()
    capsys.readouterr()
    refused(
        capsys,
        ["train", "--pretrained", str(file), "--width", "16", "--image-size", "16"],
        "width 8 (asked: 16)",
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--way", "1"], ["way", "needs at least 2 classes"]),
        (["train", "--way", "300"], ["way"]),
        (["train", "--metalearner", "mamba"], ["no meta-learner is called 'mamba'", "protonet, simpleshot"]),
        (["train", "--option", "steps=3"], ["options.steps"]),
        (["train", "--option", "steps"], ["not NAME=VALUE"]),
        (["train", "--way", "150"], ["150-way tasks need 150 classes"]),
        (["train", "--source", "digits"], ["digits", "no train tasks"]),
        (["train", "--source", "omniglot"], ["data", "needs the path"]),
        (["train", "--source", "omniglot", "--data", "/nowhere"], ["/nowhere", "no such file"]),
        (["train", "--channels", "3"], ["channels", "greyscale"]),
        (["train", "--device", "cuda:77"], ["this machine has no cuda:77"]),
        (["train", "--pretrained", "/nowhere.safetensors"], ["/nowhere.safetensors", "no such file"]),
        (["resume", "nothing"], ["there is no run 'nothing'"]),
        (["resume", "../x"], ["not a valid name"]),
        (["runs", "nothing"], ["there is no run 'nothing'"]),
        (["evaluate", "--model", "nothing"], ["nothing"]),
        (["evaluate", "--way", "99"], ["99-way"]),
        (["evaluate", "--tasks", "1"], ["at least two tasks"]),
        (["adapt", "--support", "/nowhere", "--out", "x"], ["/nowhere", "no such file or folder"]),
        (["adapt", "--model", "filmm", "--support", "x", "--out", "x"], ["neither", "protonet, maml, film"]),
        (["predict", "--model", "/nowhere", "x.png"], ["/nowhere", "no such file"]),
        (["predict", "--model", "film", "x.png"], ["adapt --model film --support DIR --out FILE"]),
        (["runs", "show", "x"], ["runs [RUN [--stop | --delete | --log]]"]),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {run.id for run in RunStore().list()}
    refused(capsys, arguments, *words)
    assert {run.id for run in RunStore().list()} == before, "no half-made run"


def test_a_folder_of_one_class_and_a_broken_image(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.safetensors"
    one = tmp_path / "one"
    (one / "only").mkdir(parents=True)
    Image.new("L", (20, 20)).save(one / "only" / "a.png")
    refused(capsys, ["adapt", "--support", str(one), "--out", str(out)], "two classes", "found: 1")
    (one / "other").mkdir()
    (one / "other" / "b.png").write_bytes(b"GIF89a broken")
    refused(capsys, ["adapt", "--support", str(one), "--out", str(out)], "b.png", "not a readable image")
    refused(capsys, ["train", "--source", "image-folder", "--data", str(digits)], "ten classes", "found: 3")
    assert not out.exists()


def test_a_foreign_model_and_a_place_that_cannot_be_written(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(next(digits.rglob("*.png")))
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"junk")
    refused(capsys, ["predict", "--model", str(foreign), image], "not a safetensors file")
    (tmp_path / "file").write_text("in the way")
    out = str(tmp_path / "file" / "model.safetensors")
    refused(capsys, ["adapt", "--support", str(digits), "--out", out], "a part of the path is a file")


def test_no_traceback_reaches_the_terminal(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "metalab", "adapt", "--support", str(tmp_path), "--out", "x"],
        capture_output=True,
        text=True,
        env={**os.environ},
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no image" in done.stderr
