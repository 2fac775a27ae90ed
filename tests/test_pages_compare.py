"""Home, Demo and Compare under Streamlit's test client: what they show, also of odd and damaged things."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from test_comparison import evaluated
from test_pages import home, page

from metalab import curves
from metalab.config import Config
from metalab.runs import RunStore
from pages.reporting import report

__all__ = ["home"]  # a fixture


def words(app: AppTest) -> str:
    """Return everything that stands on the page as text."""
    kinds = (app.markdown, app.caption, app.info, app.error, app.title, app.subheader)
    return "\n".join(item.value for kind in kinds for item in kind)


def test_home_leads_on(home: Path) -> None:
    app = page("home")
    assert not app.exception
    assert "None yet" in words(app)
    run = evaluated(RunStore(), 0.1)
    run.update_status(state="running")
    run.update_status(state="done")
    damaged = RunStore().create(Config.create(), "broken")
    (damaged.path / "status.json").write_text("{")
    app = page("home")
    assert not app.exception
    table = app.dataframe[-1].value
    assert set(table["State"]) == {"done", "damaged"}


def test_compare_on_a_fresh_install_shows_the_shipped_table(home: Path) -> None:
    app = page("compare")
    assert not app.exception
    assert "FiLM hypernetwork · shipped gains" in words(app)
    assert "rows, 12 of them seen at once" in words(app)
    assert "With two runs or more" in words(app)
    table = app.dataframe[0].value
    assert {"PT-MAP (Sinkhorn)", "ProtoNet"} <= set(table["Method"])
    assert list(table.loc[table["Method"] == "PT-MAP (Sinkhorn)", "Transductive"]) == ["yes"]
    assert table["Accuracy"].is_monotonic_decreasing


def test_two_runs_are_compared_and_reported(home: Path) -> None:
    worse, better = evaluated(RunStore(), -0.02, steps=50), evaluated(RunStore(), 0.06)
    app = page("compare", a=worse.id, b=better.id)
    assert not app.exception
    assert app.selectbox(key="a").value == worse.id
    assert app.selectbox(key="b").value == better.id
    said = words(app)
    assert f"**{better.name}** is 8.0" in said
    assert "paired, on the same tasks" in said
    differ = app.dataframe[-1].value
    assert list(differ["Setting"]) == ["Steps"]
    board = app.selectbox(key="board")
    board.set_value(next(option for option in board.options if "50 tasks" in option)).run()
    said = words(app)
    assert f"Your run {worse.name} (ProtoNet, 50 steps) has had too few steps to judge" in said
    assert f"Your run {better.name} (ProtoNet, 800 steps) gains" in said
    assert list(app.dataframe[0].value["From"])[:3] == [
        f"your run {better.name}",
        f"your run {worse.name}",
        "baseline",
    ]


def test_a_run_that_is_named_is_run_a_and_one_that_is_gone_is_told(home: Path) -> None:
    app = page("compare", run="nonsense")
    assert any("'nonsense' is not here any more" in warning.value for warning in app.warning)
    young, old = RunStore().create(Config.create(), "young"), evaluated(RunStore(), 0.06)
    app = page("compare")
    assert app.selectbox(key="a").value == old.id, "evaluated ones first"
    assert "Not evaluated yet: **young**" in words(app)
    app = page("compare", run=young.id)
    assert not app.exception
    assert not app.warning
    assert app.selectbox(key="a").value == young.id


def test_stale_addresses_and_damaged_runs_leave_compare_standing(home: Path) -> None:
    runs = [evaluated(RunStore(), 0.1 * number) for number in range(3)]
    (runs[0].path / "evaluation.json").write_text('{"rows": []}')
    (runs[1].path / "run.json").write_text("{")
    app = page("compare", a="of yesterday", b=runs[0].id)
    assert not app.exception
    app = page("compare", a=runs[0].id)
    assert not app.exception
    assert any("not an evaluation table" in error.value for error in app.error)
    assert "Accuracy by shots" in words(app)


def test_curves_that_are_known_are_shown_and_errors_told(home: Path) -> None:
    app = page("compare")
    assert "Not measured yet" in words(app)
    from metalab.comparison import models
    from metalab.storage import atomic_write, to_json

    key, (_, version) = next(iter(models().items()))
    question = curves.Question(key, version)
    known = {"done": 0.4, "error": "the disk is full", "shots": [], "steps": []}
    atomic_write(question.path, to_json(known))
    app = page("compare")
    assert not app.exception
    assert any("the disk is full" in error.value for error in app.error)


@pytest.mark.parametrize("screen", ["1", "2", "3", "4", "5"])
def test_every_screen_of_the_demo(home: Path, screen: str) -> None:
    app = page("demo", screen=screen)
    assert not app.exception
    assert not app.error
    assert len(app.title) == 1
    text = words(app) + "".join(item.proto.body for item in app.get("html"))
    for jargon in ("support", "query", "meta-", "backbone", "episode", "transductive"):
        assert jargon not in text.lower()


def test_the_demo_goes_on_and_learns(home: Path) -> None:
    app = page("demo")
    titles = [app.title[0].value]
    for _ in range(4):
        next(button for button in app.button if button.label == "Next").click().run()
        titles.append(app.title[0].value)
    assert len(set(titles)) == 5
    assert app.query_params["screen"] == "5"
    app = page("demo", screen="4")
    next(button for button in app.button if button.label == "Learn now").click().run()
    assert not app.exception
    assert any(button.label == "Start over" for button in app.button)


@pytest.mark.parametrize("screen", ["0", "99", "-1", "x", ""])
def test_a_screen_that_is_not_there_is_no_error(home: Path, screen: str) -> None:
    app = page("demo", screen=screen)
    assert not app.exception
    assert len(app.title) == 1
    assert app.query_params["screen"] in ("1", "5", ["1"], ["5"])


def test_an_unlucky_puzzle_is_said_to_be_one(home: Path) -> None:
    from metalab.demonstration import easier_average

    average = easier_average("film", 0.77)
    assert average == pytest.approx(0.969, abs=0.001)
    assert easier_average("film", 0.95) is None
    assert easier_average("unknown", 0.1) is None


def test_a_copy_without_weights_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metalab import demonstration

    monkeypatch.setattr(demonstration, "shipped", dict)
    app = page("demo")
    assert not app.exception
    assert any("no model" in error.value for error in app.error)


def test_a_report_of_a_run_that_is_gone_says_so(home: Path) -> None:
    run = RunStore().create(Config.create())
    RunStore().delete(run.id)
    assert run.id in report(run)
    assert "No report" in report(run)
