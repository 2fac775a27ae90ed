"""The documentation of a split, tokenised, with every answer that its structure gives."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from metalab.data.answered import LONGEST
from metalab.data.docstrings import PACKAGES, docstrings
from metalab.data.numpydoc import KINDS, answers
from metalab.data.words import Words, words
from metalab.tasks import SPLITS, Split


@dataclass(frozen=True)
class Corpus:
    """The passages of a split, tokenised; ``items`` maps each kind's number to (passage, subject, first
    token, tokens) of every answer."""

    texts: list[str]
    passages: list[Words]
    items: dict[int, list[tuple[int, str, int, int]]]


@functools.cache
def corpus(split: Split) -> Corpus:
    """Read and tokenise the docstrings of ``split`` (seconds). Raises :class:`DataError`."""
    numbers = {kind.name: i for i, kind in enumerate(KINDS)}
    texts, passages = [], []
    items: dict[int, list[tuple[int, str, int, int]]] = {i: [] for i in range(len(KINDS))}
    elsewhere = _texts_before(split)
    for package in PACKAGES[split]:
        for held in docstrings(package):
            found = () if held.text in elsewhere else answers(held.text)
            if not found:
                continue
            passage = words(held.text)
            for one in found:
                first, count = token_span(passage, one.start, one.end)
                if 0 < count <= LONGEST:
                    items[numbers[one.kind]].append((len(texts), one.subject, first, count))
            texts.append(held.text)
            passages.append(passage)
    return Corpus(texts, passages, items)


def _texts_before(split: Split) -> set[str]:
    """Return the texts of the splits that keep what ``split`` has as well: test, then validation."""
    first = SPLITS[SPLITS.index(split) + 1 :]
    return {held.text for other in first for package in PACKAGES[other] for held in docstrings(package)}


def token_span(passage: Words, start: int, end: int) -> tuple[int, int]:
    """Return the first token and the number of tokens that cover characters ``start`` to ``end``."""
    first = int(np.searchsorted(passage.spans[:, 1], start, side="right"))
    return first, int(np.searchsorted(passage.spans[:, 0], end)) - first
