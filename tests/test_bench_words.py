"""The benches of spoken words and of texts: their tables, small, and what they refuse."""

from __future__ import annotations

import json

import pytest

from metalab.cli import main
from metalab.data import spoken
from metalab.shipped import shipped


@pytest.mark.skipif(not shipped("speech-recognition"), reason="no recogniser is shipped")
def test_words_have_a_row_for_each_method(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(spoken, "WORDS", {"train": 2, "validation": 2, "test": 4})
    monkeypatch.setattr(spoken, "CLIPS", 7)
    flags = ["--way", "3", "--shots", "1", "--tasks", "3", "--slow-tasks", "2", "--json"]
    assert not main(["bench", "words", *flags])
    table = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    tasks = {row["method"]: row["tasks"] for row in table["rows"]}
    assert tasks["word-film"] == tasks["templates"] == 3
    assert tasks["from-scratch"] == 2
    assert {row["method"]: row["accuracy"] for row in table["rows"]}["word-film"] > 0.6


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["words", "--tasks", "1"], "two tasks"),
        (["texts", "translation", "--slow-tasks", "1"], "two tasks"),
        (["texts", "summarisation", "--only", "protonet"], "unknown: protonet"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    flags: list[str], words: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["bench", *flags]) != 0
    assert words in capsys.readouterr().err


@pytest.mark.skipif(not shipped("translation"), reason="no writer is shipped")
def test_texts_have_a_row_for_each_method_and_are_read(capsys: pytest.CaptureFixture) -> None:
    flags = ["--shots", "10", "--tasks", "2", "--slow-tasks", "2"]
    assert not main(["bench", "texts", "translation", *flags, "--json"])
    table = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert {"translate-choose", "copy", "memory", "closest-language", "fine-tuned", "ridge"} <= {
        row["method"] for row in table["rows"]
    }
    assert table["metric"] == "chrF"
    assert {"exact match", "BLEU", "placeholders kept"} == set(table["further"])
    assert not main(["bench", "texts", "translation", "--shots", "10", "--show", "1"])
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 15
    assert all(line.count(" | ") >= 3 for line in lines)
