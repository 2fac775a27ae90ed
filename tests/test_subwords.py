"""Sub-words: nothing of a text is lost, in any script."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from writing_fixtures import toy_vocabulary

from metalab.data import subwords
from metalab.data.subwords import END, PAD, SIZE, SPECIAL, START, Vocabulary, train_vocabulary, vocabulary
from metalab.errors import CheckpointError


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(text: str) -> None:
    vocabulary = toy_vocabulary()
    ids = vocabulary.encode(text)
    assert all(len(SPECIAL) <= number < SIZE for number in ids)
    assert vocabulary.decode(ids) == unicodedata.normalize("NFC", text).replace("\ufffd", "").strip()


def test_a_word_is_the_same_at_the_start_and_later() -> None:
    vocabulary = toy_vocabulary()
    first, both = vocabulary.encode("abc"), vocabulary.encode("abc abc")
    assert both == first * 2
    assert vocabulary.encode_all(["abc", "abc abc"]) == [first, both]


def test_what_is_written_ends_at_its_end() -> None:
    vocabulary = toy_vocabulary()
    ids = vocabulary.encode("abc")
    assert vocabulary.decode([START, *ids, END, *ids, PAD]) == "abc"
    assert vocabulary.decode([*ids[:1], PAD, *ids[1:]]) == "abc"


def test_pieces_stand_where_their_letters_do() -> None:
    vocabulary = toy_vocabulary()
    text = "cafe\u0301 %(name)s — 日本"
    plain = unicodedata.normalize("NFC", text)
    pieces = vocabulary.pieces(text)
    assert len(pieces) == len(vocabulary.encode(text))
    assert pieces[0][0] == 0
    assert pieces[-1][1] == len(plain)
    assert all(start <= end <= len(plain) for start, end in pieces)


def test_learning_repeats_and_a_file_holds_all(tmp_path: Path) -> None:
    texts = ["the cat sat", "the cat ate", "a cat"] * 3
    first, second = (train_vocabulary(texts, 300) for _ in range(2))
    assert first.encode("the cat") == second.encode("the cat")
    assert len(first.encode("the cat")) < len("the cat")
    first.save(tmp_path / "one.json")
    read = Vocabulary(Tokenizer.from_str((tmp_path / "one.json").read_text(encoding="utf-8")))
    assert read.encode("the cat sat on it") == first.encode("the cat sat on it")


def test_a_vocabulary_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(subwords, "SHIPPED", tmp_path)
    with pytest.raises(CheckpointError, match="nowhere"):
        vocabulary("nowhere")
