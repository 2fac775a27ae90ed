"""Every page, run by Streamlit's own test client: it shows what it should, and errors stand in place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from metalab.config import Config
from metalab.metalearners import get_metalearner, metalearners
from metalab.runs import RunStore
from metalab.shipped import RECIPES, shipped

ROOT = Path(__file__).parents[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metalab_home: Path) -> Path:
    """An empty run store, but the drawings that are cached already."""
    if (metalab_home / "cache").is_dir():
        shutil.copytree(metalab_home / "cache", tmp_path / "cache")
    monkeypatch.setenv("METALAB_HOME", str(tmp_path))
    return tmp_path


def page(name: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.run()
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page(f"pages/{name}.py")
    return app.run()


def test_home_adapts_a_shipped_model(home: Path) -> None:
    app = page("home")
    assert not app.exception
    metrics = {metric.label: metric for metric in app.metric}
    assert metrics["Chance"].value == "20%"
    assert float(metrics["Query right after adaptation"].value.rstrip("%")) > 50
    assert float(metrics["Time to adapt and predict"].value.split()[0]) < 60_000
    assert any("None yet" in caption.value for caption in app.caption)


def test_shipped_methods_can_be_chosen(home: Path) -> None:
    assert set(shipped()) == set(RECIPES)
    app = page("home")
    for name in shipped():
        app.button_group(key="try-method").set_value(name).run()
        assert not app.exception


def test_setup_starts_nothing_that_contradicts_itself(home: Path) -> None:
    app = page("setup")
    assert not app.exception
    assert not app.error
    app.number_input(key="set-way").set_value(150).run()
    assert any("150-way tasks need 150 classes" in error.value for error in app.error)
    start = next(button for button in app.button if button.label == "Start training")
    assert start.disabled
    assert RunStore().list() == [], "nothing half-made"
    app.number_input(key="set-way").set_value(5).run()
    assert not app.error
    app.selectbox(key="set-source").set_value("omniglot").run()
    assert any("needs the path" in error.value for error in app.error)
    app.text_input(key="set-data-omniglot").set_value(str(home / "nowhere")).run()
    assert any("no such file or folder" in error.value for error in app.error)
    assert not app.exception


@pytest.mark.parametrize("name", list(metalearners()))
def test_every_method_has_its_settings(home: Path, name: str) -> None:
    app = page("setup")
    app.selectbox(key="set-metalearner").set_value(name).run()
    assert not app.exception
    shown = {widget.key for kind in (app.number_input, app.toggle, app.selectbox) for widget in kind}
    options = get_metalearner(name).Options.model_fields
    assert {f"option-{name}-{option}" for option in options} <= shown


def test_train_without_runs_points_to_setup(home: Path) -> None:
    app = page("train")
    assert not app.exception
    assert any("no run yet" in info.value for info in app.info)


@pytest.mark.parametrize("state", ["stopped", "failed", "damaged"])
def test_train_shows_runs_in_every_state(home: Path, state: str) -> None:
    run = RunStore().create(Config.create(), "one of mine")
    run.append({"kind": "train", "step": 1, "loss": 1.5, "accuracy": 0.4})
    run.append({"kind": "validation", "step": 1, "accuracy": 0.5, "interval": 0.1})
    if state == "failed":
        run.update_status(state="failed", error="The disk is full.")
    if state == "damaged":
        (run.path / "status.json").write_text("{")
    app = page("train", run=run.id)
    assert not app.exception
    words = [error.value for error in app.error]
    if state == "failed":
        assert any("The disk is full" in word for word in words)
    if state == "damaged":
        assert any("not JSON" in word for word in words)
    else:
        assert [metric.value for metric in app.metric if metric.label == "State"] == [state]
        assert any(button.label == "Resume" for button in app.button)
