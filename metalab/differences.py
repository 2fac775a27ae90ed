"""What differs between two texts, word by word, as plain data for pages."""

from __future__ import annotations

import difflib
import unicodedata
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kept", "removed", "added"]
MOST = 2_000
"""Words that are compared; of longer texts all counts as changed, as comparing takes time by their square."""
_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0xA4CF), (0xF900, 0xFAFF))
"""Scripts that put no space between words (Thai, Lao, Burmese, Khmer, Chinese, Japanese): by character."""


@dataclass(frozen=True)
class Piece:
    """A part of a text, and whether both texts have it or only the first ("removed") or second ("added")."""

    text: str
    kind: Kind


def differences(before: str, after: str) -> list[Piece]:
    """Return the pieces of both texts in order; those kept and added, joined, are ``after`` exactly, those
    kept and removed are ``before``."""
    first, second = words_of(before), words_of(after)
    if max(len(first), len(second)) > MOST:
        pieces = [("removed", before), ("added", after)] if before != after else [("kept", after)]
    else:
        pieces = []
        # Without autojunk: frequent words are compared like any others.
        for tag, i, j, k, m in difflib.SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
            if tag == "equal":
                pieces.append(("kept", "".join(second[k:m])))
            else:
                pieces += [("removed", "".join(first[i:j])), ("added", "".join(second[k:m]))]
    return [Piece(text, kind) for kind, text in pieces if text]


def words_of(text: str) -> list[str]:
    """Return ``text`` cut into words, signs and spaces; nothing is lost. Marks stay with their letters."""
    parts: list[str] = []
    last = ""
    for letter in text:
        kind = _kind(letter)
        if parts and (kind == "mark" or (kind == last and kind in ("word", "space"))):
            parts[-1] += letter
            continue
        parts.append(letter)
        last = kind
    return parts


def _kind(letter: str) -> str:
    if letter.isspace():
        return "space"
    category = unicodedata.category(letter)
    if category[0] == "M" or category == "Cf":
        return "mark"
    if category[0] not in "LN" and letter != "_":
        return "sign"
    unspaced = any(first <= ord(letter) <= last for first, last in _UNSPACED)
    return "character" if unspaced else "word"
