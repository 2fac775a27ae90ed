"""Recommendation on the command line, with small tables of one's own: train, evaluate, adapt, predict."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import metalab
from metalab.cli import main
from metalab.errors import DataError
from metalab.runs import RunStore

TINY = ["--pretrain-steps", "5", "--steps", "2", "--meta-batch", "2", "--validation-tasks", "4"]
TINY += ["--test-tasks", "4"]
PRODUCTS, ADVERTS = "product-recommendation", "ad-recommendation"


def table(path: Path, header: str, rows: list[tuple[object, ...]]) -> str:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> str:
    """40 users rate 14 of 20 items, described by a kind."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{item}", rng.integers(1, 6), ("war", "art")[item % 2])
        for user in range(40)
        for item in rng.permutation(20)[:14]
    ]
    return table(tmp_path_factory.mktemp("ratings") / "ratings.csv", "user,item,rating,genre", rows)


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """30 campaigns of 60 impressions, fewer than the shapes that meta-training has elsewhere."""
    rng = np.random.default_rng(0)
    rows = [
        (f"c{campaign}", int(rng.random() < 0.2), 60 * campaign + at, at % 3, ("phone", "desk")[at % 2])
        for campaign in range(30)
        for at in range(60)
    ]
    return table(tmp_path_factory.mktemp("clicks") / "clicks.csv", "campaign,clicked,time,place,device", rows)


def trained(application: str, source: str, path: str, *rest: str) -> str:
    before = {run.id for run in RunStore().list()}
    given = ["train", "--application", application, "--source", source, "--data", path, *TINY, *rest]
    assert main(given) == 0
    (run,) = (run for run in RunStore().list() if run.id not in before)
    return run.id


@pytest.fixture(scope="module")
def rater(metalab_home: Path, ratings: str) -> str:
    return trained(PRODUCTS, "ratings", ratings, "--shot", "5", "--query", "5")


@pytest.fixture(scope="module")
def clicker(metalab_home: Path, clicks: str) -> str:
    return trained(ADVERTS, "clicks", clicks, "--shot", "30", "--query", "20")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str], *words: str) -> None:
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert "Traceback" not in error


def test_ratings_of_ones_own(rater: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = table(tmp_path / "mine.csv", "item,rating,genre", [("i1", 5, "art"), ("new", 1, "war")])
    out = str(tmp_path / "mine.safetensors")
    adapt = ["adapt", "--application", PRODUCTS, "--model", rater, "--out", out, "--support"]
    capsys.readouterr()
    assert main([*adapt, mine]) == 0
    assert "from 2 ratings, 1 of unknown ones" in capsys.readouterr().out
    assert main(["predict", "--model", out, "--top", "3"]) == 0
    best = lines(capsys)
    assert len(best) == 3
    assert "i1" not in {one["name"] for one in best}
    asked = table(tmp_path / "asked.csv", "item", [("i2",), ("never met",)])
    assert main(["predict", "--model", out, asked]) == 0
    told = capsys.readouterr()
    assert [json.loads(line)["name"] for line in told.out.splitlines()] == ["i2", "never met"]
    assert "no column genre" in told.err
    outside = table(tmp_path / "outside.csv", "item,rating", [("i1", 3), ("i2", 9)])
    refused(capsys, [*adapt, outside], "outside.csv, row 3: 9.0 is outside of 1 to 5")


def test_a_campaign_of_ones_own(clicker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = [(int(i % 4 == 0), i % 3, "phone") for i in range(20)]
    first = table(tmp_path / "first.csv", "clicked,place,device", shown)
    later = table(tmp_path / "later.csv", "place,device", [(0, "phone"), (2, "desk")])
    out = str(tmp_path / "campaign.safetensors")
    adapt = ["adapt", "--application", ADVERTS, "--support", first, "--out", out]
    refused(capsys, adapt, "no column user", "train a model")
    assert main([*adapt, "--model", clicker]) == 0
    capsys.readouterr()
    assert main(["predict", "--model", out, later]) == 0
    found = lines(capsys)
    assert len(found) == 2
    assert all(0 < one["low"] < one["expected"] < one["high"] < 1 for one in found)
    assert found[0]["expected"] != found[1]["expected"]
    assert {one["because"] for one in found} == {None}
    refused(capsys, ["predict", "--model", out], "nothing is left in the catalogue", "table")


def test_the_tables_name_their_measure(rater: str, clicker: str, capsys: pytest.CaptureFixture[str]) -> None:
    for run, measure in ((rater, "NDCG@5, "), (clicker, "AUC, ")):
        capsys.readouterr()
        assert main(["evaluate", "--model", run, "--tasks", "4"]) == 0
        assert measure in capsys.readouterr().out


def test_what_is_wrong_in_a_table_is_said_by_row(
    ratings: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = Path(ratings).read_text(encoding="utf-8").splitlines()
    held[3], held[5], held[7] = "u0,i1,9,war", "u0,i3", "u0,,3,war"
    path = tmp_path / "faulty.csv"
    path.write_text("\n".join(held), encoding="utf-8")
    given = ["evaluate", "--application", PRODUCTS, "--data", str(path), "--shot", "5", "--tasks", "4"]
    said = ("in 3 places:\n- row 4, rating", "\n- row 6, row", "\n- row 8, item", "--leave-out")
    refused(capsys, given, *said)
    mine = table(tmp_path / "mine.csv", "item,rating", [("i1", 5)])
    adapt = ["adapt", "--application", PRODUCTS, "--support", mine, "--out", str(tmp_path / "x")]
    refused(capsys, adapt, "mine.csv, row 2: 'i1' is unknown to this model", "train a model")
    assert not (tmp_path / "x").exists()


def test_adapt_in_python_knows_the_shop() -> None:
    model = metalab.adapt(PRODUCTS, ["Open Witness (1956)", "Secret Parade (1992)"], [5, "1"])
    assert len(model.suggest(3)) == 3
    assert "Open Witness (1956)" not in {one.name for one in model.suggest(1000)}
    with pytest.raises(DataError, match=r"names\[0\]: 'Open Witnes' is unknown.*Did you mean Open Witness"):
        metalab.adapt(PRODUCTS, ["Open Witnes"], [5])
    with pytest.raises(DataError, match=r"outcomes\[0\]: 'good' is no number"):
        metalab.adapt(PRODUCTS, ["Open Witness (1956)"], ["good"])
