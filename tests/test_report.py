"""The report of a run: one file, nothing from outside, and something sensible of a run in any state."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from test_comparison import evaluated

from metalab.cli import main
from metalab.config import Config
from metalab.embeddings import embed
from metalab.errors import RunError
from metalab.inspection import Stage, TaskView
from metalab.report import report_html
from metalab.runs import Run, RunStore


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("METALAB_HOME", str(tmp_path))
    run = evaluated(RunStore(), 0.1)
    RunStore().rename(run.id, "a <b>bold</b> name")
    for step in range(1, 30):
        run.append({"kind": "train", "step": step, "loss": 1 / step, "accuracy": 0.5, "rate": 10.0})
    run.append({"kind": "validation", "step": 20, "accuracy": 0.6, "interval": 0.02})
    chance = np.random.default_rng(0)
    labels = np.repeat(np.arange(2), 6)
    support = np.arange(12) % 6 == 0
    stages = [
        Stage(name, chance.normal(size=(12, 4)).astype("f"), np.full((10, 2), 0.5, "f"), 0.5)
        for name in ("pre-trained", "adapted")
    ]
    view = TaskView(chance.random((12, 1, 8, 8)).astype("f"), labels, support, ["x", "y"], stages, 0.02)
    for name, kept in (("view", view), ("embedding", embed(view.features, "pca"))):
        arrays, metadata = kept.to_arrays()
        run.write_arrays(name, arrays)
        run.write_json(name, metadata)
    return run


def test_everything_is_inside_and_escaped(run: Run) -> None:
    page = report_html(run)
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)  # plotly.js names its own home
    assert "http" not in outside, "nothing is fetched"
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=['\"](?!data:)", page)
    assert "<b>bold</b>" not in page
    assert "a &lt;b&gt;bold&lt;/b&gt; name" in page
    assert page.count("role='img'") == 4, "results, loss, accuracy, before and after"
    assert "gains" in outside
    assert "Config" in outside
    assert page.count("plotly.js v") == 1, "the library is inside once"


def test_a_run_that_has_only_begun_says_so(tmp_path: Path) -> None:
    run = RunStore(tmp_path).create(Config.create(), "young")
    page = report_html(run)
    assert "not trained yet" in page
    assert "no results on held-out tasks yet" in page


@pytest.mark.parametrize("name", ["evaluation.json", "view.json", "embedding.safetensors"])
def test_a_damaged_part_is_named_and_the_rest_shown(run: Run, name: str) -> None:
    (run.path / name).write_text('{"stages": 3}')
    page = report_html(run)
    assert "cannot be read" in page
    assert "Configuration" in page


def test_a_damaged_run_is_an_error_in_words(run: Run) -> None:
    (run.path / "run.json").write_text("{")
    with pytest.raises(RunError, match="not JSON"):
        report_html(run)


def test_the_command_writes_one_file(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "reports" / "r.html"
    assert main(["report", run.id, "--out", str(out)]) == 0
    assert out.read_text().startswith("<!doctype html>")
    assert main(["report", "nobody", "--out", str(tmp_path / "n.html")]) == 2
    assert "there is no run" in capsys.readouterr().err
    assert not (tmp_path / "n.html").exists()
