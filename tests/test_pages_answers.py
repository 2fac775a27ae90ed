"""The page Questions by Streamlit's own test client: every source, and what is wrong stands in place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from answer_files import sheets, small_weights
from streamlit.testing.v1 import AppTest

from metalab import shipped as ships

ROOT = Path(__file__).parents[1]
WHERE = "answers-where"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is not trained: the page does not depend on how good it is."""
    return small_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def open_page(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    monkeypatch.setattr(ships, "SHIPPED", weights)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=240)
    app.switch_page("pages/answers.py")
    yield app.run()
    assert not app.exception


def choose(app: AppTest, where: str) -> AppTest:
    app.button_group(key=WHERE).set_value(where).run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    blocks = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.subheader]
    return "\n".join(str(one.value) for one in blocks)


def html(app: AppTest) -> str:
    return "\n".join(one.proto.body for one in app.get("html"))


def press(app: AppTest, label: str) -> None:
    next(one for one in app.button if one.label == label).click().run()
    assert not app.exception


def upload(app: AppTest, name: str, content: str) -> AppTest:
    field = next(one for one in app.get("file_uploader") if one.label == "A file of answered questions")
    field.set_value((name, content.encode(), "application/octet-stream")).run()
    assert not app.exception
    return app


def jsonl(rows: list[dict[str, str]]) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def rows(count: int) -> list[dict[str, str]]:
    return [
        {"passage": one.passage, "question": one.question, "answer": one.answer}
        for one in sheets(range(count))
    ]


def test_tasks_of_documentation(open_page: AppTest) -> None:
    app = open_page
    assert not app.error, said(app)
    assert "means *Which argument comes after …?* here" in said(app)
    labels = {one.label for one in app.metric}
    assert labels == {"Token F1 after", "Token F1 before", "Exactly right", "Time to adapt"}
    assert html(app).count("title='the answer'") >= 5 + 2 * 4, "in support, before and after"
    assert html(app).count("Before · Un-adapted") == 4, "of six"
    first = html(app)
    app.selectbox(key="answers-before").set_value("patterns").run()
    assert html(app).count("Before · Word patterns") == 4
    press(app, "Another task")
    assert html(app) != first
    app.selectbox(key="answers-kind-documentation").set_value(19).run()
    assert not app.error
    app.number_input(key="answers-shot").set_value(2).run()
    assert not app.exception
    assert {"6 · Features", "5 · Take it away", "4 · Try it"} <= {one.value for one in app.subheader}
    assert "writes nothing" in said(app)
    downloads = [one.label for one in app.get("download_button")]
    assert downloads == ["Download the model", "Download the results", "Download a script"]


def test_tasks_of_stories(open_page: AppTest) -> None:
    app = choose(open_page, "Stories")
    assert not app.error, said(app)
    assert "*Where did … go from there?*" in said(app)
    assert "has met no story" in said(app)
    word = re.search(r"question is \*\*(\w+)\*\*", said(app))[1]
    assert html(app).count(f"{word} ") >= 5 + 4, "in every question"
    kind = app.selectbox(key="answers-kind-stories")
    kind.set_value("any").run()
    assert "means what the answers show here" in said(app)
    assert "price of a thing" in kind.options


def test_a_file_with_rows_that_cannot_be_used(open_page: AppTest) -> None:
    app = choose(open_page, "A file")
    assert "SQuAD" in said(app)
    broken = {"passage": "one", "question": "what?", "answer": "two"}
    upload(app, "own.jsonl", jsonl([*rows(9), broken]))
    assert "1 row is left out" in said(app)
    table = app.dataframe[0].value
    assert table.iloc[0]["Where"] == "own.jsonl, line 10"
    assert "not in the passage" in table.iloc[0]["What"]
    assert "2 · What it learns from" not in said(app)
    press(app, "Go on with the rest (9)")
    assert "2 · What it learns from" in said(app)
    assert html(app).count("Before · Un-adapted") == 4
    before = html(app)
    press(app, "Other examples")
    assert html(app) != before
    app.number_input(key="answers-own-shot").set_value(50).run()
    assert "none is left to judge by" in said(app)
    for name, content, words in (
        ("bad.json", "{", "is no JSON"),
        ("bad.csv", "a,b\n1,2", "has no column passage"),
        ("none.json", "[]", "no answered question"),
    ):
        upload(app, name, content)
        assert words in "".join(one.value for one in app.error)


def test_text_of_users_is_escaped_and_has_its_own_direction(open_page: AppTest) -> None:
    app = choose(open_page, "A file")
    evil = [
        {"passage": f"{row['passage']}<img src=x onerror=alert(1)> שלום", **dict(list(row.items())[1:])}
        for row in rows(7)
    ]
    evil = [{**row, "question": "<b>long</b>?"} for row in evil]
    upload(app, "evil.jsonl", jsonl(evil))
    assert "<img" not in html(app)
    assert "&lt;b&gt;long&lt;/b&gt;?" in html(app)
    assert "dir='auto'" in html(app)


def test_the_table_teaches_and_says_what_is_wrong(open_page: AppTest) -> None:
    app = choose(open_page, "Typed here")
    assert not app.error, said(app)
    assert html(app).count("Before · Un-adapted") == 2, "four of six rows teach"
    app.session_state["answers-typed"] = [
        *([one.passage, one.question, one.answer] for one in sheets(range(5))),
        ["a passage", "what?", "elsewhere"],
        ["", "", ""],
    ]
    app.switch_page("pages/tasks.py").run()
    app.switch_page("pages/answers.py").run()
    assert app.button_group(key=WHERE).value == "Typed here"
    assert "1 row is left out" in said(app)
    assert "row 5" in str([one.value for one in app.dataframe])
    assert html(app).count("Before · Un-adapted") == 1


def test_asking_oneself(open_page: AppTest) -> None:
    app = choose(open_page, "Typed here")
    press(app, "Find the answer")
    assert "Paste a passage first" in said(app)
    area = next(one for one in app.text_area if one.label == "A new passage")
    area.set_value("depth : how far it goes down, in metres. <i>")
    press(app, "Find the answer")
    assert "sure)" in html(app)
    assert "metres. &lt;i&gt;" in html(app)
    question = next(one for one in app.text_input if one.label == "Question")
    question.set_value(" ")
    press(app, "Find the answer")
    assert "a question of 0 words" in "".join(one.value for one in app.error)


def test_no_model_is_said_and_training_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METALAB_HOME", str(tmp_path))
    monkeypatch.setattr(ships, "SHIPPED", tmp_path)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=240)
    app.switch_page("pages/answers.py").run()
    assert "There is no ready model for question-answering" in said(app)
    press(app, "Train one")
    assert app.session_state["draft"]["application"] == "question-answering"
