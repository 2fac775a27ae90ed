"""Every page, run by Streamlit's own test client: it shows what it should, and errors stand in place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from metalab.applications import applications
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
    assert {name for one in applications() for name in shipped(one)} == set(RECIPES)
    app = page("home")
    for name in shipped():
        app.button_group(key="try-method").set_value(name).run()
        assert not app.exception
