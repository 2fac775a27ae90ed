"""Own answered questions: SQuAD, JSON lines and CSV in; what is wrong is said with its row."""

from __future__ import annotations

import json

import pytest

from metalab.data.answered import LONGEST_PASSAGE, Answered, read_answered
from metalab.errors import DataError

PASSAGE = "The bolt M6 is 40 mm long.\nThe bolt M8 is 60 mm long."


def squad(*questions: dict) -> bytes:
    return json.dumps({"data": [{"paragraphs": [{"context": PASSAGE, "qas": list(questions)}]}]}).encode()


def test_squad_with_the_place_that_is_meant() -> None:
    second = PASSAGE.index("mm", 30)
    held = read_answered(
        squad(
            {"question": "Unit?", "answers": [{"text": "mm", "answer_start": second}]},
            {"question": "Length of M6?", "answers": [{"text": "40 mm", "answer_start": 15}]},
            {"question": "Colour?", "answers": [], "is_impossible": True},
        ),
        "own.json",
    )
    assert [one.answer for one in held.items] == ["mm", "40 mm", ""]
    assert held.items[0].start == second
    assert held.notes == []


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_csv_of_any_mark(mark: str) -> None:
    rows = [["Context", "Question", "Answer"], ["A is 1", "A?", "1"], ["B is 2", "B?", "2"]]
    held = read_answered("\n".join(mark.join(row) for row in rows).encode("utf-8-sig"), "own.csv")
    assert [(one.question, one.answer) for one in held.items] == [("A?", "1"), ("B?", "2")]


def test_json_lines_and_line_ends() -> None:
    rows = [{"passage": "one\r\ntwo\r\nthree", "question": "last?", "answer": "three"}]
    held = read_answered("\n".join(map(json.dumps, rows)).encode(), "own.jsonl")
    assert held.items[0].passage == "one\ntwo\nthree"
    assert held.items[0].answer == "three"


def test_rows_that_cannot_be_used_are_named_and_the_rest_is_kept() -> None:
    rows = [
        {"passage": PASSAGE, "question": "Length?", "answer": "40 mm"},
        {"passage": PASSAGE, "question": "Length?", "answer": "40 mm"},
        {"passage": PASSAGE, "question": "Weight?", "answer": "9 kg"},
        {"passage": "", "question": "What?", "answer": "x"},
        {"passage": PASSAGE, "question": " ", "answer": "40"},
        {"passage": "x" * (LONGEST_PASSAGE + 1), "question": "What?", "answer": "x"},
        {"passage": PASSAGE, "question": "why " * 50, "answer": "40"},
        {"passage": PASSAGE, "question": "Start?", "answer": "40", "start": "early"},
        "no row",
        {"passage": "word " * 60, "question": "What?", "answer": "word " * 50},
    ]
    held = read_answered(json.dumps(rows).encode(), "own.json")
    assert len(held.items) == 1
    told = {note.where: note.what for note in held.notes}
    assert "again" in told["own.json, row 2"]
    assert "'9 kg' is not in the passage" in told["own.json, row 3"]
    assert told["own.json, row 4"] == "no passage"
    assert told["own.json, row 5"] == "no question"
    assert "characters" in told["own.json, row 6"]
    assert "words" in told["own.json, row 7"]
    assert "'early'" in told["own.json, row 8"]
    assert "no passage" in told["own.json, row 9"]
    assert "an answer of 50 words" in told["own.json, row 10"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("own.json", b"{", "is no JSON"),
        ("own.json", b'{"rows": 1}', "neither SQuAD"),
        ("own.json", b"[]", "no answered question"),
        ("own.csv", b"passage,question\na,b", "has no column answer"),
        ("own.csv", b"", "has no column"),
        ("own.txt", b"a", "no known format"),
        ("own.csv", b"passage,question,answer\n\xff,b,c", "not UTF-8"),
        ("own.jsonl", b"nope", "line 1"),
        ("own.json", b"[" * 100_000, "is no JSON"),
    ],
)
def test_files_that_cannot_be_read(name: str, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_answered(content, name)


def test_a_missing_file(tmp_path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_answered(tmp_path / "gone.json")


def test_rows_are_named_by_the_line_in_which_they_begin() -> None:
    text = 'passage,question,answer\n\n"one\ntwo",what?,two\nthree,what?,four\nfive,what?\n'
    held = read_answered(text.encode("utf-16"), "own.csv")
    assert held.items == [Answered("one\ntwo", "what?", 4, 7), Answered("five", "what?")]
    assert [note.where for note in held.notes] == ["own.csv, line 5"]


def test_a_broken_line_of_json_is_named_and_the_rest_is_kept() -> None:
    rows = ['{"passage": "a\u2028b", "question": "b?", "answer": "b"}', "{", "[]"]
    held = read_answered("\n".join(rows).encode(), "own.jsonl")
    assert held.items == [Answered("a\u2028b", "b?", 2, 3)]
    assert [note.where for note in held.notes] == ["own.jsonl, line 2", "own.jsonl, line 3"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("own.csv", b"passage,question,anwser\na,b,c", "Rename anwser to answer"),
        ("own.csv", b"passage,question,reply\na,b,c", "If it is reply, rename that to answer"),
        ("own.csv", b'passage,question,answer\na,b,c\n"a,b,c\nd,e,f', "from line 3 on"),
        ("own.csv", "passage,question,answer".encode("utf-16-le"), "zero byte in line 1"),
        ("own.csv", b"\xff\xfea", "not UTF-16"),
    ],
)
def test_what_to_mend_is_said(name: str, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_answered(content, name)
