"""The page Speech by Streamlit's own test client: held-out words at once, and what is asked for otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from metalab.shipped import shipped

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not shipped("speech-recognition"), reason="no recogniser is shipped")


@pytest.fixture
def app() -> AppTest:
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    page.switch_page("pages/speech.py")
    page.run()
    assert not page.exception
    return page


def said(app: AppTest) -> str:
    blocks = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.subheader]
    return "\n".join(str(one.value) for one in blocks)


def test_it_does_its_job_at_once(app: AppTest) -> None:
    assert not app.error, said(app)
    labels = {one.label: one.value for one in app.metric}
    assert "Time to adapt" in labels
    assert int(labels["Right"].rstrip("%")) > 40, "five words, three recordings each"
    assert "synthesiser" in said(app)
    assert " s" in next(one.value for one in app.markdown if " · " in one.value), "what was heard, and where"


def test_other_words_and_fewer_examples(app: AppTest) -> None:
    before = [one.value for one in app.markdown]
    app.number_input(key="speech-task").set_value(2).run()
    app.number_input(key="speech-shot").set_value(1).run()
    assert not app.error, said(app)
    assert not app.exception
    assert [one.value for one in app.markdown] != before


def test_without_recordings_it_asks_for_them(app: AppTest) -> None:
    app.button_group(key="speech-where").set_value("Recorded here").run()
    assert not app.exception
    assert "Record two words" in said(app)
    app.button_group(key="speech-where").set_value("A zip of recordings").run()
    assert not app.exception
    assert "folder for each word" in said(app) or "first recordings" in said(app)
