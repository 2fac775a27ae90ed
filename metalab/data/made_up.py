"""Made-up kinds of questions for meta-training: without them its few kinds would be learnt by heart."""

from __future__ import annotations

import functools

import numpy as np

from metalab.data.answered import LONGEST
from metalab.data.corpus import corpus
from metalab.data.numpydoc import KINDS
from metalab.data.words import Words

ANCHORS = 400
"""Frequent words that made-up kinds stand on."""
WHERE = ("after", "after", "before", "line", "below")
LENGTHS = ("token", "line", "clause", "sentence")
ABOUT_SUBJECTS = 0.4
"""Share of made-up kinds that stand on the subject asked about."""
_TELLING = """default defaults shape error errors raise raises raised see also version versionadded
versionchanged deprecated added changed none references reference examples example parameters"""
TELLING = frozenset(_TELLING.split())
"""Words on which held-out kinds stand: no made-up kind of meta-training stands on them."""


@functools.cache
def anchors() -> list[tuple[str, list[tuple[int, int]]]]:
    """Return frequent words of meta-train, each with (passage, token) of its first place in passages."""
    found: dict[str, list[tuple[int, int]]] = {}
    for number, passage in enumerate(corpus("train").passages):
        seen = set()
        for at, word in enumerate(passage.plain[:-1]):
            if word not in seen and word[0] != "\n" and word not in TELLING:
                seen.add(word)
                found.setdefault(word, []).append((number, at))
    frequent = sorted(found, key=lambda word: (-len(found[word]), word))[:ANCHORS]
    return [(word, found[word]) for word in frequent]


def made_up(rng: np.random.Generator, n: int) -> list[tuple[int, str, int, int]]:
    """Draw ``n`` answers of a made-up kind: what stands after, before or below some word, or its line.

    The word is the same in all passages, or in each the subject that is asked about.
    """
    where, length = WHERE[rng.integers(len(WHERE))], LENGTHS[rng.integers(len(LENGTHS))]
    if rng.random() < ABOUT_SUBJECTS:
        places = _subjects()
    else:
        places = [(number, "", at) for number, at in anchors()[rng.integers(len(anchors()))][1]]
    found, used = [], set()
    for pick in rng.permutation(len(places))[: 20 * n]:
        number, subject, at = places[pick]
        passage = corpus("train").passages[number]
        start = _moved(passage, at, where)
        count = 0 if start is None or number in used else _count(passage, start, length)
        if count:
            used.add(number)
            found.append((number, subject, start, count))
            if len(found) == n:
                return found
    return made_up(rng, n)  # too rare a kind


@functools.cache
def _subjects() -> list[tuple[int, str, int]]:
    """Return (passage, subject, its first token) of the parameters of meta-train."""
    kind = next(i for i, kind in enumerate(KINDS) if kind.name == "what a parameter means")
    found = []
    for number, subject, _, _ in corpus("train").items[kind]:
        plain = corpus("train").passages[number].plain
        if subject.lower() in plain:
            found.append((number, subject, plain.index(subject.lower())))
    return found


def _moved(passage: Words, at: int, where: str) -> int | None:
    """Return the token from which a made-up answer goes, seen from token ``at``; None: there is none."""
    if where == "after":
        return at + 1 if at + 1 < len(passage) else None
    if where == "before":
        return at - 1 if at and passage.plain[at - 1][0] != "\n" else None
    line = at
    if where == "line":
        while line and passage.plain[line - 1][0] != "\n":
            line -= 1
        return line
    while line < len(passage) and not (
        passage.plain[line - 1][0] == "\n" and line > at and passage.plain[line][0].isalnum()
    ):
        line += 1
    return line if line < len(passage) else None


def _count(passage: Words, start: int, length: str) -> int:
    """Return how many tokens of ``passage`` from ``start`` make a token, line, clause or sentence, or 0."""
    if length == "token":
        return int(passage.plain[start][0] != "\n")
    ends = "\n" if length == "line" else "\n,;:.()"
    for count in range(min(LONGEST, len(passage) - start)):
        word = passage.plain[start + count]
        after = passage.plain[start + count + 1][0] if start + count + 1 < len(passage) else "\n"
        if length == "sentence":
            if word == "." or (word[0] == "\n" and after == "\n"):
                return count
        elif word[0] in ends:
            return count
    return 0
