"""The page Voice by Streamlit's own test client: a held-out voice speaks at once; what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def app() -> AppTest:
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    page.switch_page("pages/voice.py")
    page.run()
    assert not page.exception
    return page


def said(app: AppTest) -> str:
    blocks = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.subheader]
    return "\n".join(str(one.value) for one in blocks)


def test_a_held_out_voice_speaks_at_once(app: AppTest) -> None:
    assert not app.error, said(app)
    assert {one.label for one in app.metric} == {"Time to adapt"}
    assert "owners agree" in said(app)
    assert len(app.get("plotly_chart")) == 2
    assert "**Un-adapted**" in said(app)
    assert "**Adapted**" in said(app)


def test_what_cannot_be_spoken_is_named_in_place(app: AppTest) -> None:
    app.text_input(key="voice-text").set_value("Good день").run()
    assert not app.exception
    assert "'д' (character 6)" in said(app)
    app.text_input(key="voice-text").set_value("42 % & more").run()
    assert not app.exception
    assert not app.error, said(app)


def test_without_a_recording_it_asks_for_one(app: AppTest) -> None:
    app.button_group(key="voice-where").set_value("Recorded here").run()
    assert not app.exception
    assert "no transcript" in said(app)
    assert not app.metric
    app.button_group(key="voice-where").set_value("Recordings").run()
    assert not app.exception
