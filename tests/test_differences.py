"""Differences of texts: nothing is lost, words stay whole, in any script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metalab.differences import MOST, differences, words_of


def shown(before: str, after: str) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in differences(before, after)]


def test_words_are_compared_whole() -> None:
    assert shown("Save the file", "Save a file!") == [
        ("kept", "Save "),
        ("removed", "the"),
        ("added", "a"),
        ("kept", " file"),
        ("added", "!"),
    ]
    assert shown("same", "same") == [("kept", "same")]
    assert shown("", "new") == [("added", "new")]
    assert shown("", "") == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("don't stop_it", ["don", "'", "t", " ", "stop_it"]),
        ("नाम हटाएँ", ["नाम", " ", "हटाएँ"]),
        ("保存する", ["保", "存", "す", "る"]),
        ("ใช่", ["ใ", "ช่"]),
        ("حفظ الملف", ["حفظ", " ", "الملف"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
    ],
)
def test_scripts(text: str, parts: list[str]) -> None:
    assert words_of(text) == parts


@given(st.text(), st.text())
def test_nothing_is_lost(before: str, after: str) -> None:
    pieces = differences(before, after)
    assert "".join(one.text for one in pieces if one.kind != "removed") == after
    assert "".join(one.text for one in pieces if one.kind != "added") == before


def test_long_texts_take_no_time() -> None:
    long = "a b " * MOST
    assert shown(long, long) == [("kept", long)]
    assert shown(long, "c") == [("removed", long), ("added", "c")]
