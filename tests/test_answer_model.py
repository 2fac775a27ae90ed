"""A few answered questions in, a model out: it finds answers in new passages, of any length, and is kept."""

from __future__ import annotations

import json

import pytest
import torch

import metalab
from metalab.answer_model import AnswerModel, adapt_answers, answer_examples, load_answer_model, overlap
from metalab.api import create_metalearner
from metalab.cli import main
from metalab.data.answered import Answered
from metalab.data.words import words
from metalab.errors import CheckpointError, DataError
from metalab.shipped import load_trained, shipped

pytestmark = pytest.mark.skipif(not shipped("question-answering"), reason="nothing is shipped for questions")
PARTS = ["bolt", "nut", "washer", "screw", "rivet", "bracket", "spring", "gasket", "bearing", "pulley"]


def passage(number: int) -> str:
    name = PARTS[number % len(PARTS)]
    return (
        f"Data sheet of part {number}.\n\nname : {name}\n    The part's name in the store.\n"
        f"weight : {number + 3} g\n    Weight of one {name}, packed.\n"
        f"length : {10 * number + 7} mm\n    Measured at rest.\n"
    )


def answered(numbers: range) -> list[Answered]:
    items = []
    for number in numbers:
        text, answer = passage(number), f"{10 * number + 7} mm"
        start = text.index(answer)
        items.append(Answered(text, "How long is it?", start, start + len(answer)))
    return items


@pytest.fixture(scope="module")
def model() -> AnswerModel:
    return adapt_answers(load_trained("guided-spans").metalearner, answered(range(5)))


def test_it_answers_the_same_kind_of_question_in_new_passages(model: AnswerModel) -> None:
    held = answered(range(5, 10))
    found = model.predict([one.passage for one in held], [one.question for one in held])
    assert sum(one.text == truth.answer for one, truth in zip(found, held, strict=True)) >= 4
    assert all(0 < one.probability <= 1 for one in found)
    assert all(truth.passage[f.start : f.end] == f.text for f, truth in zip(found, held, strict=True))


def test_long_passages_are_read_in_windows(model: AnswerModel) -> None:
    filler = "\n".join(f"Line {i} of the introduction says little about anything." for i in range(150))
    text = f"{filler}\n\n{passage(8)}\n{filler}"
    found = model.predict([text], ["How long is it?"])[0]
    assert found.text == text[found.start : found.end] == "87 mm"


def test_an_answer_that_two_windows_show_counts_once(model: AnswerModel) -> None:
    text = "word " * 250
    read = model._read(text, "what?")
    outputs = torch.zeros(len(read.rows), 3, 1, model.metalearner.backbone.size)
    outputs[:, 1:] = -50
    asked = len(words("what?"))
    for number, first in enumerate(read.firsts):
        if first <= 120 < first + 180:
            outputs[number, 1, 0, 120 - first + asked] = 20
    found = read.best(outputs)
    assert (found.start, found.text) == (600, "word")
    assert found.probability > 0.99


def test_it_is_saved_and_loaded(model: AnswerModel, tmp_path) -> None:
    model.save(tmp_path / "answers.safetensors")
    again = metalab.load(tmp_path / "answers.safetensors")
    assert isinstance(again, AnswerModel)
    asked = [passage(6)], ["How long is it?"]
    assert again.predict(*asked) == model.predict(*asked)
    load_trained("guided-spans").metalearner.backbone.shape()
    metalab.adapt(
        "question-answering", [(one.passage, one.question) for one in answered(range(2))], ["7 mm", "17 mm"]
    )
    with pytest.raises(CheckpointError):
        load_answer_model(__file__)


def test_right_to_left_and_windows_line_ends(model: AnswerModel) -> None:
    text = passage(7).replace("\n", "\r\n") + "\r\nשלום עולם\r\n"
    found = model.predict([text], ["How long is it?"])[0]
    assert text.replace("\r\n", "\n")[found.start : found.end] == found.text


def test_task_learning_judges_by_f1() -> None:
    learner = load_trained("guided-spans").metalearner
    train, test = answered(range(5)), answered(range(5, 10))
    result = metalab.task_learning(
        learner,
        [(one.passage, one.question) for one in train],
        [one.answer for one in train],
        [(one.passage, one.question) for one in test],
        [(one.start, one.end) for one in test],
    )
    by_hand = [overlap(found, truth) for found, truth in zip(result.predictions, test, strict=True)]
    assert result.accuracy == pytest.approx(sum(by_hand) / 5)
    assert result.accuracy > 0.7


def test_what_cannot_be_learnt_from_is_said() -> None:
    learner = create_metalearner("guided-spans", load_trained("guided-spans").pretrained)
    with pytest.raises(DataError, match="no example has an answer"):
        adapt_answers(learner, [Answered("a", "b")])
    with pytest.raises(DataError, match="at most 40"):
        answer_examples([Answered("word " * 60, "what?", 0, 250)], 192)
    with pytest.raises(DataError, match="0 words"):
        adapt_answers(learner, answered(range(2))).predict(["text"], [" "])
    with pytest.raises(DataError, match="empty passage"):
        adapt_answers(learner, answered(range(2))).predict([""], ["what?"])
    with pytest.raises(DataError, match="2 passages but 1"):
        adapt_answers(learner, answered(range(2))).predict(["a", "b"], ["what?"])
    with pytest.raises(DataError, match="not in the passage"):
        metalab.task_learning(learner, [("a b", "q")], ["c"], [("a b", "q")])


def test_the_command_line(tmp_path, capsys) -> None:
    rows = [
        {"passage": one.passage, "question": one.question, "answer": one.answer} for one in answered(range(9))
    ]
    support, text = tmp_path / "own.jsonl", tmp_path / "new.txt"
    support.write_text("\n".join(map(json.dumps, rows)))
    text.write_text(passage(9))
    model = str(tmp_path / "answers.safetensors")
    adapt = ["adapt", "--application", "question-answering", "--support", str(support), "--out", model]
    assert main(adapt) == 0
    assert main(["predict", "--model", model, "--question", "How long is it?", str(text)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["text"] == "97 mm"
    assert main(["predict", "--model", model, str(text)]) == 2
    assert "--question" in capsys.readouterr().err
    evaluate = ["evaluate", "--application", "question-answering", "--data", str(support), "--shot", "3"]
    assert main([*evaluate, "--query", "3", "--tasks", "2", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert {"guided-spans", "patterns", "logistic-regression"} <= {row["method"] for row in rows}
