"""The benchmarks at a tiny size: they run, repeat, and put the right numbers side by side."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from metalab.bench import BENCHES, methods, speed
from metalab.bench.published import OMNIGLOT, omniglot_config, sinusoid
from metalab.cli import main, parser
from metalab.data.sinusoid import sinusoids
from metalab.errors import ConfigError
from metalab.plots import growth_curves
from metalab.shipped import LEADERBOARD
from metalab.tasks import seeded

OMNIGLOT_DATA = Path(__file__).parents[1] / "../shared/data/omniglot"


@pytest.mark.parametrize("name", list(BENCHES))
def test_every_benchmark_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", name, "--help"])
    assert stopped.value.code == 0
    assert "usage: python -m metalab bench" in capsys.readouterr().out


def test_sinusoids_are_those_of_the_paper() -> None:
    batch = sinusoids(2000, 5, 10, seeded("cpu", 0))
    assert batch.support.x.shape == batch.support.y.shape == (2000, 5, 1)
    assert batch.query.x.shape == (2000, 10, 1)
    assert batch.support.x.min() >= -5
    assert batch.support.x.max() <= 5
    assert 4.8 < batch.query.y.abs().max() <= 5
    # The mean square of a sine of amplitude a is a²/2: (0.1² + 0.1 · 5 + 5²) / 6 over all tasks.
    assert abs(batch.query.y.square().mean() - (0.01 + 0.5 + 25) / 6) < 0.3


def test_meta_training_on_sinusoids_repeats_and_helps() -> None:
    first, again = (sinusoid("metasgd", 10, 200, 100, seed=3) for _ in range(2))
    assert first == again
    assert first.error < sinusoid("metasgd", 10, 0, 100, seed=3).error - first.interval
    assert first.published == 0.53


def test_methods_share_tasks_and_go_on_where_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "methods", "--steps", "1", "--tasks", "4", "--only", "r2d2", "--only", "softkmeans"]
    assert main([*command, "--format", "json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert set(table["costs"]) == {"r2d2", "softkmeans"}
    rows = {row["method"]: row for row in table["evaluation"]["rows"]}
    assert rows["softkmeans"]["transductive"]
    assert not rows["r2d2"]["transductive"]
    assert {row["tasks"] for row in rows.values()} == {4}
    assert rows["logistic-regression"]["kind"] == "baseline"
    assert main([*command, "--format", "markdown"]) == 0, "from what is kept: nothing is trained again"
    text = capsys.readouterr().out
    assert "| R2-D2 (ridge head) |" in text
    assert "Soft k-means (transductive)" in text


def test_the_shipped_leaderboard_has_every_method() -> None:
    from metalab.metalearners import metalearners

    table = json.loads(LEADERBOARD.read_bytes())
    assert set(table["costs"]) == set(metalearners())
    assert table["budget"]["tasks"] == 600
    assert "Baseline++" in methods.as_text(table, "text")


def test_an_interval_needs_two_tasks() -> None:
    arguments = parser().parse_args(["bench", "methods", "--tasks", "1"])
    with pytest.raises(ConfigError, match="two tasks"):
        arguments.do(arguments)


@pytest.mark.skipif(not OMNIGLOT_DATA.is_dir(), reason="needs ../shared/data/omniglot")
@pytest.mark.parametrize("method", ["maml", "protonet"])
def test_omniglot_protocol(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    small1, small2 = (OMNIGLOT_DATA / f"images_background_small{i}.zip" for i in (1, 2))
    command = ["bench", "published", "omniglot", "--data", str(small1), "--test-data", str(small2)]
    command += ["--method", method, "--steps", "2", "--meta-batch", "1", "--tasks", "4", "--exclude", "Greek"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["transductive"] == (method == "maml")
    assert found["published"] == OMNIGLOT[method, 5, 1] / 100


@pytest.mark.skipif(not OMNIGLOT_DATA.is_dir(), reason="needs ../shared/data/omniglot")
def test_the_papers_settings() -> None:
    import argparse

    given = {"method": "maml", "way": 20, "shot": 5, "steps": None, "meta_batch": None, "seed": 0}
    config = omniglot_config(argparse.Namespace(data=OMNIGLOT_DATA, **given))
    assert (config.image_size, config.steps, config.meta_batch, config.train_way) == (28, 60_000, 16, 20)
    assert config.options == {"inner_steps": 5, "inner_lr": 0.1, "head": "shared"}


@pytest.mark.parametrize("method", ["maml", "anil", "protonet", "r2d2"])
def test_speed_compares_equal_gradients(method: str) -> None:
    case = speed.Case(method, 2, steps=2, size=16, query=2)
    assert speed.gradient_difference(case) < 1e-10


def test_speed_puts_both_sides_beside_each_other() -> None:
    found = speed.compare(replace(speed.CASES[4], meta_batch=2), repeats=2, memory=False)
    assert found.ratio > 0
    assert found.low <= found.ratio <= found.high
    assert found.difference < 1e-10
    assert "metalab batched" in found.settings
    assert any(name.startswith("peer") for name in found.settings)


def test_growth_is_drawn_for_every_size() -> None:
    rows = [
        {"grows": name, "value": value, "seconds": value / 10, "memory": 50.0}
        for name, values in speed.GROWS.items()
        for value in values
    ]
    figure = growth_curves(rows)
    assert len(figure.data) == 2 * len(speed.GROWS)
    assert list(figure.data[0].x) == list(speed.GROWS["meta_batch"])
