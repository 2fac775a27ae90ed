"""The page Texts by Streamlit's own test client: both applications, own files, and what is wrong in place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from text_files import small_weights

from metalab import pretraining, shipped
from metalab.data import subwords
from metalab.data.subwords import vocabulary

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writers that are not trained: the page does not depend on how good they are."""
    return small_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def open_page(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    for module in (subwords, shipped, pretraining):
        monkeypatch.setattr(module, "SHIPPED", weights)
    vocabulary.cache_clear()
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.switch_page("pages/texts.py")
    yield app.run()
    assert not app.exception
    vocabulary.cache_clear()


def said(app: AppTest) -> str:
    blocks = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.subheader]
    return "\n".join(str(one.value) for one in blocks)


def html(app: AppTest) -> str:
    return "\n".join(one.proto.body for one in app.get("html"))


@pytest.mark.parametrize("what", ["Translate", "Sum up"])
def test_it_does_its_job_at_once(open_page: AppTest, what: str) -> None:
    app = open_page
    app.button_group(key="texts-what").set_value(what).run()
    assert not app.error, said(app)
    assert "Time to adapt" in {one.label for one in app.metric}
    assert html(app).count("After · adapted") == (3 if what == "Translate" else 2)
    assert html(app).count("dir='auto'") >= 8
    assert "no prose" in said(app)
    field = next(one for one in app.text_area if one.label == "A new text")
    field.set_value("<b>Search</b> שלום")
    next(one for one in app.button if one.label == "Write").click().run()
    assert not app.error, said(app)
    assert "&lt;b&gt;" in html(app)
    assert "After · against before" in html(app)


def test_a_file_and_what_is_wrong_with_it(open_page: AppTest) -> None:
    app = open_page
    app.button_group(key="texts-where").set_value("A file").run()
    field = app.get("file_uploader")[0]
    rows = "\n".join(f"word {n},woord {n}" for n in range(12))
    field.set_value(("own.csv", f"source,target\nHello %s,Hallo\n{rows}\n".encode(), "text/csv")).run()
    assert not app.error, said(app)
    assert "12 pairs" in said(app)
    assert "placeholders differ" in "\n".join(str(one.value) for one in app.dataframe)
    app.get("file_uploader")[0].set_value(("own.csv", b"one,two,three\n1,2,3\n", "text/csv")).run()
    assert "has no column" in said(app)
