"""A task of answered questions: the very texts of its windows, judged with the baselines, taken away."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from answer_files import sheets, small_learner

from metalab.answer_model import AnswerModel, Found, overlap
from metalab.data.answered import Answered
from metalab.data.answered_source import AnsweredSource
from metalab.data.questions import QuestionSource, Window, windows_at
from metalab.errors import DataError
from metalab.own_answers import (
    QUERY,
    SCRIPT,
    SLOW,
    Judged,
    divide,
    held_out_kinds,
    judge,
    meaning,
    results_json,
    sample_task,
    task_key,
)
from metalab.passages import AROUND, WHOLE, highlighted, verdict
from metalab.tasks import TaskShape, task_at


@pytest.fixture(scope="module")
def judged() -> Judged:
    learner = small_learner()
    return judge(learner, learner.backbone.frozen_copy(), divide(sheets(range(9)), 4))


def is_shown(window: Window, tokens: torch.Tensor, labels: torch.Tensor) -> None:
    """The window's words and answer are those of the tokens."""
    assert np.array_equal(window.tokens, tokens.numpy())
    spelled, one = window.words(), window.answered()
    assert len(spelled) == len(tokens)
    assert [bool(word) for word in spelled] == (tokens[:, -1] > 0).tolist()
    answer = [word for word, label in zip(spelled, labels.tolist(), strict=True) if label > 0]
    assert "".join(one.answer.split()) == "".join("".join(answer).split())
    assert one.passage in window.text


@pytest.mark.parametrize("index", [0, 11])
def test_windows_of_documentation_have_their_very_texts(index: int) -> None:
    source, shape = QuestionSource(96), TaskShape(1, 3, 4)
    task, windows = (draw(source, index, "test", shape, 1) for draw in (task_at, windows_at))
    for window, tokens, labels in zip(
        windows,
        torch.cat([task.support.x, task.query.x]),
        torch.cat([task.support.y, task.query.y]),
        strict=True,
    ):
        is_shown(window, tokens, labels)
        assert window.answered().end, "each is answered"


def test_windows_of_own_questions_have_their_very_texts(tmp_path) -> None:
    rows = [
        {"passage": one.passage, "question": one.question, "answer": one.answer} for one in sheets(range(8))
    ]
    file = tmp_path / "own.json"
    file.write_text(json.dumps(rows))
    source, shape = AnsweredSource(file, 64), TaskShape(1, 3, 4)
    task, windows = (draw(source, 2, "test", shape, 1) for draw in (task_at, windows_at))
    for window, tokens, labels in zip(windows[3:], task.query.x, task.query.y, strict=True):
        is_shown(window, tokens, labels)
    assert source.originals("train") == {}, "so nothing is said to leak"


def test_tasks_of_one_kind_or_of_any() -> None:
    kinds = held_out_kinds()
    default = next(number for number, name in kinds.items() if name == "default")
    task = sample_task(3, 2, 3, default)
    assert (len(task.support), len(task.query)) == (2, 3)
    assert all("default" in one.passage.lower() for one in [*task.support, *task.query])
    assert len({one.question.split()[0] for one in task.support}) == 1, "the kind's made-up word"
    assert sample_task(3, 2, 3, default) == task != sample_task(4, 2, 3, default)
    any_kind = {one.question.split()[0] for i in range(3) for one in sample_task(i, 1, 1).support}
    assert len(any_kind) > 1
    with pytest.raises(DataError, match="needed"):
        sample_task(0, 100, 100, next(number for number, name in kinds.items() if name == "shape"))
    with pytest.raises(DataError, match="no question of this split"):
        sample_task(0, 1, 1, 0)


def test_tasks_of_stories_and_what_kinds_mean() -> None:
    kinds = {name: number for number, name in held_out_kinds("stories").items()}
    assert meaning(kinds["price of a thing"], "stories") == "What does the … cost?"
    assert meaning(next(n for n, name in held_out_kinds().items() if name == "shape")) == "What shape has …?"
    task = sample_task(0, 2, 3, kinds["price of a thing"], source="stories")
    assert all(one.answer.isdecimal() for one in [*task.support, *task.query])
    assert all("coins" in one.passage for one in task.support)


def test_division_teaches_by_answered_ones_and_judges_by_the_rest() -> None:
    items = [Answered("none here", "what?"), *sheets(range(40))]
    task = divide(items, 3)
    assert task.support == items[1:4]
    assert len(task.query) == QUERY
    assert task.query[0] == items[0]
    assert task.left_out == 41 - 3 - QUERY
    drawn = divide(items, 3, seed=1)
    assert drawn == divide(items, 3, seed=1) != task
    assert divide(items, 100).query == []
    long = [Answered("word " * 15_000, "what?", 0, 4) for _ in range(4)]
    assert len(divide([*sheets(range(2)), *long], 2).query) == 1, "baselines read all passages at once"


def test_every_method_is_judged_on_the_same_questions(judged: Judged) -> None:
    assert judged.rows[0].method == "guided-spans"
    assert judged.rows[0].kind == "meta-learner"
    methods = {row.method for row in judged.rows}
    assert {"un-adapted", "patterns", "logistic-regression", "nearest-centroid"} < methods
    assert not methods & set(SLOW)
    query = judged.task.query
    for row in judged.rows:
        shares = [overlap(one, truth) for one, truth in zip(row.found, query, strict=True)]
        assert row.f1 == pytest.approx(np.mean(shares))
        assert 0 <= row.exact <= row.f1 <= 1
    assert judged.row("patterns").f1 == 1, "the words around the length are the same in every sheet"
    assert judged.best().f1 == 1
    asked = [one.passage for one in query], [one.question for one in query]
    assert judged.model.predict(*asked) == judged.rows[0].found


def test_without_questions_to_judge_by_it_still_adapts() -> None:
    learner = small_learner()
    held = judge(learner, learner.backbone.frozen_copy(), divide(sheets(range(3)), 5))
    assert held.rows == []
    assert isinstance(held.model, AnswerModel)
    view = held.view()
    assert view.support.sum() * 2 == len(view.support), "the support set stands in for the query set"
    with pytest.raises(DataError, match="no example has an answer"):
        judge(learner, held.pretrained, divide([Answered("a", "b?")], 1))


def test_results_and_script_are_taken_away(judged: Judged) -> None:
    query = judged.task.query
    rows = json.loads(results_json(query, judged.rows[0].found))
    assert [row["question"] for row in rows] == [one.question for one in query]
    assert all(row["passage"][row["start"] : row["end"]] == row["found"] for row in rows)
    compile(SCRIPT, "answer.py", "exec")
    assert task_key(judged.task) != task_key(divide(sheets(range(9)), 3))


def test_html_shows_truth_and_answer_and_escapes_everything() -> None:
    text = "<script>alert(1)</script> & 12 mm שלום"
    truth = Answered(text, "how long?", text.index("12"), text.index("12") + 5)
    found = Found("12", truth.start, truth.start + 2, 0.5)
    shown = highlighted(text, truth, found)
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert "&amp; " in shown
    assert "dir='auto'" in shown
    assert "שלום" in shown
    assert "<mark class='partly' title='found'><u title='the answer'>12</u></mark>" in shown
    assert verdict(truth, found) == "partly"
    assert verdict(truth, Found("", 0, 0, 0.5)) == "wrong"
    assert verdict(Answered(text, "?"), Found("", 0, 0, 0.5)) == "right"
    assert "<mark" not in highlighted(text)
    assert "<u" not in highlighted(text)
    assert "class='unjudged'" in highlighted(text, found=found)


def gaps(shown: str) -> list[int]:
    return [int(part.split()[0].replace(",", "")) for part in shown.split("[… ")[1:]]


def test_long_passages_are_shown_around_their_answers() -> None:
    text = "a" * (9 * WHOLE)
    shown = highlighted(text, Answered(text, "?", 10, 20), Found("a", 8 * WHOLE, 8 * WHOLE + 1, 0.5))
    assert len(gaps(shown)) == 2
    assert sum(gaps(shown)) == 9 * WHOLE - (20 + AROUND) - (2 * AROUND + 1)
    assert len(shown) < 4 * AROUND + 500
    near = highlighted(text, Answered(text, "?", 0, 5), Found("a", 2, 9, 0.5))
    assert len(gaps(near)) == 1
    assert sum(gaps(highlighted(text))) == 9 * WHOLE - WHOLE // 2 - AROUND


def test_long_passages_are_cut_between_lines() -> None:
    lines = [f"line {number:03} of a passage" for number in range(100)]
    text = "\n".join(lines)
    start = text.index("050")
    shown = highlighted(text, Answered(text, "?", start, start + 3)).split("</i>")[1].split("<i")[0]
    plain = shown.replace("<u title='the answer'>", "").replace("</u>", "")
    assert set(plain.split("\n")) <= set(lines)
    assert "line 050 of" in plain
