"""Step 1 of text: words and where they stand, as numbers. No vocabulary is learnt: words are hashed.

So any text of any language becomes numbers in the same way, and nothing is ever out of vocabulary.
"""

from __future__ import annotations

import functools
import re
import zlib
from dataclasses import dataclass

import numpy as np

WORD = re.compile(r"\n[ \t]*|\w+|[^\w\s]")
"""A token: a line's start with its indentation, a word or number, or one sign."""
WORDS, PARTS = 4096, 1024
"""Buckets of whole words, and of beginnings and endings."""
SHAPES, PLACES, ROLES = 16, 40, 4
FIELDS = (WORDS, PARTS, PARTS, SHAPES, PLACES, ROLES)
"""How many values each number of a token has: word, beginning, ending, shape, place in the line, role."""
PADDING, ASKED, TOLD, MATCHED = range(ROLES)
"""Roles: padding, word of the question, word of the passage, and one of those that the question names."""
_COMMON = """a an and are as at be by can for from has have how i in is it its may of on one or should that
the this to was what when where which who will with"""
COMMON = frozenset(_COMMON.split())
"""Words of a question that mark nothing in the passage."""


@dataclass(frozen=True)
class Words:
    """Tokens of a text: ``fields`` (n, 5) int16, all but the role; ``spans`` (n, 2) int32, their places in
    the text; ``plain``, the tokens in lower case."""

    fields: np.ndarray
    spans: np.ndarray
    plain: list[str]

    def __len__(self) -> int:
        return len(self.plain)


def words(text: str) -> Words:
    """Return the tokens of ``text``."""
    rows, spans, plain, indent, column = [], [], [], 0, 0
    for match in WORD.finditer(text):
        word = match[0]
        if word[0] == "\n":
            indent, column = min(len(word.expandtabs(4)) - 1, 16) // 4, 0
        rows.append((*_of_word(word), indent * 8 + min(column, 7)))
        column += 1
        spans.append(match.span())
        plain.append(word.lower())
    fields = np.array(rows, dtype=np.int16).reshape(-1, len(FIELDS) - 1)
    return Words(fields, np.array(spans, dtype=np.int32).reshape(-1, 2), plain)


@functools.lru_cache(maxsize=200_000)
def _of_word(word: str) -> tuple[int, int, int, int]:
    lower = word.lower() if word[0] != "\n" else "\n"
    return (_hash(lower, WORDS), _hash("^" + lower[:3], PARTS), _hash(lower[-3:] + "$", PARTS), _shape(word))


def _hash(word: str, buckets: int) -> int:
    return zlib.crc32(word.encode("utf-8", "replace")) % buckets


def _shape(word: str) -> int:
    first = word[0]
    if first == "\n":
        return 0
    if word.isdecimal():
        return 1 + min(len(word), 4)  # years are of four
    if not (first.isalnum() or first == "_"):
        return 6 if first in "([{" else 7 if first in ")]}" else 8 if first in "'\"`" else 9
    if "_" in word:
        return 10
    if word.isupper():
        return 11 if len(word) == 1 else 12
    if first.isupper():
        return 13 if word[1:].islower() else 14
    return 15


def assembled(question: Words, passage: Words, start: int, length: int) -> tuple[np.ndarray, int]:
    """Return tokens (length, 6) float32, the question's before those of the passage from ``start``, padded
    with zeros, and where the passage begins among them; what is beyond ``length`` is left out."""
    rows = np.zeros((length, len(FIELDS)), dtype=np.float32)
    asked = min(len(question), length // 4)
    rows[:asked, :-1], rows[:asked, -1] = question.fields[:asked], ASKED
    told = passage.fields[start : start + length - asked]
    end = asked + len(told)
    rows[asked:end, :-1], rows[asked:end, -1] = told, TOLD
    named = {word for word in question.plain if word[0].isalnum() or word[0] == "_"} - COMMON
    for at, word in enumerate(passage.plain[start : start + len(told)], asked):
        if word in named:
            rows[at, -1] = MATCHED
    return rows, asked
