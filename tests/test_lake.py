"""Lake's one-shot runs: reading and building them, the matcher's scores, and the shipped checkpoint."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from metalab.bench.lake import assignment
from metalab.cli import main
from metalab.data.lake_runs import build_runs, read_runs
from metalab.data.strokes import render, still, strokes
from metalab.errors import CheckpointError, DataError, StorageError
from metalab.lake.matcher import SIZE, Matcher
from metalab.lake.recipe import SHIPPED_LAKE, load_lake
from metalab.lake.scoring import one_shot_scores

SMALL = Path(__file__).parents[2] / "shared" / "data" / "omniglot"
ROOT = Path(__file__).parents[1]


def png(seed: int, wobble: int = 0) -> bytes:
    """A character of three lines; ``wobble`` changes the hand."""
    points = np.random.default_rng(seed).integers(15, 90, (4, 2))
    points = points + np.random.default_rng([seed, wobble]).integers(-2, 3, (4, 2))
    image = Image.new("1", (105, 105), 1)
    ImageDraw.Draw(image).line([tuple(p) for p in points.tolist()], fill=0, width=3)
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def write(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two official-looking runs of 20, test drawings in another order than training drawings."""
    for number in (1, 2):
        name, lines = f"run{number:02d}", []
        for i in range(20):
            k = (7 * i + number) % 20
            write(tmp_path / "all_runs" / name / "training" / f"class{i + 1:02d}.png", png(100 * number + i))
            write(tmp_path / "all_runs" / name / "test" / f"item{i + 1:02d}.png", png(100 * number + k, 1))
            lines.append(f"{name}/test/item{i + 1:02d}.png {name}/training/class{k + 1:02d}.png")
        write(tmp_path / "all_runs" / name / "class_labels.txt", "\n".join(lines))
    return tmp_path / "all_runs"


@pytest.fixture
def alphabets(tmp_path: Path) -> Path:
    """An Omniglot-like folder: 21 characters of Small's alphabet, 5 of Tiny's, each drawn by three."""
    folder = tmp_path / "omniglot"
    for alphabet, n in (("Small", 21), ("Tiny", 5)):
        for i in range(n):
            for drawer in (1, 2, 3):
                content = png(1000 * n + i, drawer)
                write(folder / alphabet / f"character{i + 1:02d}" / f"{i:04d}_{drawer:02d}.png", content)
    return folder


@pytest.fixture
def matcher() -> Matcher:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Matcher()
        for _ in range(30):  # settle the statistics: without them all scores are nearly the same
            made(torch.rand(20, 1, SIZE, SIZE))
        return made.eval()


def zipped(folder: Path, out: Path, *, below: str = "", junk: bool = False) -> Path:
    with zipfile.ZipFile(out, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                name = below + str(file.relative_to(folder))
                archive.write(file, name)
                if junk:
                    archive.writestr(f"__MACOSX/{name}", b"junk")
        if junk:
            archive.writestr("all_runs/.DS_Store", b"junk")
            archive.writestr("all_runs/run01/training/._class01.png", b"junk")
    return out


def test_folder_and_zip_give_the_same_runs(runs: Path, tmp_path: Path) -> None:
    read = read_runs(runs)
    assert [run.name for run in read] == ["run01", "run02"]
    for run, number in zip(read, (1, 2), strict=True):
        assert run.training.shape == run.test.shape == (20, 105, 105)
        assert run.training.dtype == bool
        assert 0.005 < run.training.mean() < 0.2, "ink is True, paper is False"
        assert run.truth.tolist() == [(7 * i + number) % 20 for i in range(20)]
    others = (
        runs.parent,
        zipped(runs, tmp_path / "flat.zip"),
        zipped(runs, tmp_path / "mac.zip", below="all_runs/", junk=True),
    )
    for other in others:
        for a, b in zip(read, read_runs(other), strict=True):
            assert all(np.array_equal(getattr(a, k), getattr(b, k)) for k in ("training", "test", "truth"))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda r: (r / "run02" / "class_labels.txt").unlink(), ("run02", "class_labels.txt is missing")),
        (lambda r: (r / "run02" / "training" / "class07.png").unlink(), ("training/class07", "missing")),
        (lambda r: (r / "run01" / "test" / "item03.png").unlink(), ("run01/test/item03.png", "missing")),
        (lambda r: shutil.rmtree(r / "run01" / "test"), ("run01", "drawings in test: 0")),
        (lambda r: _cut(r / "run01" / "test" / "item03.png"), ("test/item03.png", "not a readable image")),
        (lambda r: write(r / "run01" / "test" / "item99.png", png(5)), ("item99.png", "no line")),
        (lambda r: write(r / "run01" / "class_labels.txt", "a b c"), ("class_labels.txt", "line 1")),
        (lambda r: write(r / "run01" / "class_labels.txt", b"\xff\xfe\x00"), ("class_labels.txt", "line 1")),
        (lambda r: write(r / "run01" / "test" / "item01.png", b"0" * 6_000_000), ("item01.png", "6 MB")),
    ],
)  # fmt: skip
def test_damaged_runs_say_what_and_where(runs: Path, damage, says: tuple[str, str], tmp_path: Path) -> None:
    damage(runs)
    for path in (runs, zipped(runs, tmp_path / "runs.zip")):
        with pytest.raises(DataError) as error:
            read_runs(path)
        assert all(word in str(error.value) for word in says), str(error.value)


def test_what_is_no_runs_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "text.zip", "not a zip")
    truncated = zipped(tmp_path / "empty", tmp_path / "empty.zip")
    for path in (tmp_path / "empty", tmp_path / "text.zip", tmp_path / "nothing", truncated):
        with pytest.raises(DataError):
            read_runs(path)
        assert main(["bench", "lake", str(path)]) == 2
        assert str(path) in capsys.readouterr().err


def test_built_runs_are_by_two_drawers_and_reproducible(alphabets: Path, tmp_path: Path) -> None:
    lines = list(build_runs(alphabets, tmp_path / "a", runs=3, seed=5))
    assert "Tiny: 5 characters, a run needs 20: left out" in lines
    assert len(lines) == 4
    by_content = {file.read_bytes(): file for file in alphabets.rglob("*.png")}
    for line, folder in zip(lines[1:], sorted((tmp_path / "a").iterdir()), strict=True):
        drawers: dict[str, set[str]] = {"training": set(), "test": set()}
        for part, found in drawers.items():
            files = [by_content[file.read_bytes()] for file in sorted((folder / part).iterdir())]
            found |= {file.stem[-2:] for file in files}
            assert len({file.parent for file in files}) == 20, "20 different characters"
        assert all(len(found) == 1 for found in drawers.values()), "one drawer each"
        assert drawers["training"] != drawers["test"]
        assert "Small" in line
        for pair in (folder / "class_labels.txt").read_text().splitlines():
            test, training = (by_content[(tmp_path / "a" / name).read_bytes()] for name in pair.split())
            assert test.parent == training.parent, "a pair is one character"
    list(build_runs(alphabets, tmp_path / "b", runs=3, seed=5))
    for a, b in zip(read_runs(tmp_path / "a"), read_runs(tmp_path / "b"), strict=True):
        assert np.array_equal(a.test, b.test)
    with pytest.raises(StorageError):
        list(build_runs(alphabets, tmp_path / "a"))
    with pytest.raises(DataError, match="Klingon"):
        list(build_runs(alphabets, tmp_path / "c", exclude=("Klingon",)))


def test_a_score_is_independent_of_the_other_test_drawings(runs: Path, matcher: Matcher) -> None:
    run = read_runs(runs)[0]
    together = one_shot_scores([matcher], run.training, run.test)
    for i in (0, 7, 19):
        alone = one_shot_scores([matcher], run.training, run.test[[i]])
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-4, atol=1e-4)


def test_dense_and_sparse_matching_agree(runs: Path, matcher: Matcher) -> None:
    """The search in training (coarse, then exact) finds what inference computes for all parts."""
    run = read_runs(runs)[0]
    with torch.no_grad():
        a, b = (matcher(render(strokes(ink), still(20), SIZE)) for ink in (run.test, run.training))
        dense = matcher.scores(a, b)[1]
        sparse = matcher.scores(a, b, torch.arange(100).expand(2, 100))[1]
    torch.testing.assert_close(dense, sparse, rtol=2e-3, atol=2e-3)


def test_the_best_assignment_is_a_permutation() -> None:
    scores = np.random.default_rng(0).normal(size=(20, 20))
    scores[:, 3] += 5  # on its own, every drawing would take class 3
    chosen = assignment(scores)
    assert sorted(chosen) == list(range(20))
    assert len(set(scores.argmax(1))) < 20
    assert len(assignment(scores[:5])) == 5
    assert len(assignment(scores[:, :5])) == 20


def test_normalisation_forgets_place_and_size() -> None:
    ink = np.zeros((3, 105, 105), dtype=bool)
    ink[0, 30:70, 30:33] = ink[0, 67:70, 30:60] = True
    ink[1] = np.roll(ink[0], (20, 30), (0, 1))
    half = np.asarray(Image.fromarray(ink[0]).resize((70, 70), Image.Resampling.NEAREST))
    ink[2, 10:80, 20:90] = half
    views = render(strokes(ink), still(3), SIZE)
    assert (views[0] - views[1]).abs().mean() < 0.01
    assert (views[0] - views[2]).abs().mean() < 0.03


def test_training_by_the_command_is_reproducible(alphabets: Path, runs: Path, tmp_path: Path, capsys) -> None:
    for name in ("a", "b"):
        out = str(tmp_path / f"{name}.safetensors")
        assert main(["ship", "lake", "--data", str(alphabets), "--steps", "3", "--out", out]) == 0
    (a, meta), (b, _) = (load_lake(tmp_path / f"{name}.safetensors") for name in "ab")
    assert all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )
    assert meta["alphabets"] == ["Small", "Tiny"]
    assert meta["recipe"]["steps"] == 3
    capsys.readouterr()
    assert main(["bench", "lake", str(runs), "--model", str(tmp_path / "a.safetensors"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["runs"] == 2
    assert 0 <= result["transductive_error_percent"] <= 100
    assert main(["ship", "lake"]) == 2
    with pytest.raises(CheckpointError):
        load_lake(ROOT / "metalab" / "weights" / "conv4.safetensors")


def test_bench_lake_prints_one_json_object_from_any_folder(runs: Path, tmp_path: Path) -> None:
    """The command as an outside checker runs it, with the shipped checkpoint."""
    environment = {**os.environ, "METALAB_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "metalab", "bench", "lake", str(runs), "--json"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(json.loads(done.stdout)) == {"error_percent", "transductive_error_percent", "runs"}


@pytest.mark.skipif(not SMALL.is_dir(), reason="the shared Omniglot zips are not here")
def test_the_shipped_matcher_is_good_on_its_own_alphabets(tmp_path: Path, capsys) -> None:
    """These are the alphabets it was trained on: a check that it works, and no figure of quality."""
    assert SHIPPED_LAKE.stat().st_size < 5_000_000
    out = tmp_path / "runs"
    assert main(["bench", "lake-runs", str(SMALL), str(out), "--runs", "14", "--seed", "3"]) == 0
    capsys.readouterr()
    assert main(["bench", "lake", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["runs"] == 14
    assert result["error_percent"] < 12  # 6 to 8 % over seeds: Balinese has many look-alikes
    assert result["transductive_error_percent"] <= result["error_percent"]
