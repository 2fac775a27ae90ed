"""Translations to choose from: of tuned and neighbouring writers, the source itself, those of examples."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from metalab.data.pairs import Pair
from metalab.data.placeholders import placeholders

MOST = 14
"""Renderings of a text, at most."""


class Kind(IntEnum):
    """How a rendering was made."""

    TUNED = 0
    MEAN_CODE = 1
    NEAREST = 2
    NEXT = 3
    COPIED = 4
    REMEMBERED = 5
    SWAPPED = 6


class Rendering(NamedTuple):
    """A translation to choose; ``place`` is that among its like, ``chance`` the mean log probability that
    its writer gave to a sub-word, 0 if there was none."""

    text: str
    kind: Kind
    place: int
    chance: float = 0.0


NAMES = (
    *(f"kind {kind.name.lower()}" for kind in Kind),
    *("place", "log probability", "below the best", "log probability when tuned", "below the likeliest"),
    *("agreement", "agreement with tuned", "likeness to the source", "length", "length less the examples'"),
    *("letters of the examples", "letters new to them", "placeholders kept", "likeness of the remembered"),
    *("examples", "words of the source", "as the examples end", "as the examples begin"),
)
"""One column each of :func:`rendering_features`."""


def remembered(support: Sequence[Pair], source: str) -> list[Rendering]:
    """Return the source itself, and what the examples say: the translation of the nearest source, and that
    with a word exchanged for what another example says of it."""
    made = [Rendering(source, Kind.COPIED, 0)]
    ranked = sorted(support, key=lambda pair: -likeness(pair.source, source))[:2]
    made += [Rendering(pair.target, Kind.REMEMBERED, at) for at, pair in enumerate(ranked)]
    known = {pair.source.lower(): pair.target for pair in support}
    words = [known.get(word.lower(), word) for word in source.split()]
    if " ".join(words) != source:
        made.append(Rendering(" ".join(words), Kind.SWAPPED, 0))
    if ranked and (swapped := _swapped(ranked[0], source, known)):
        made.append(Rendering(swapped, Kind.SWAPPED, 1))
    return made


def _swapped(pair: Pair, source: str, known: dict[str, str]) -> str:
    """Return the translation of ``pair``, in which words that stand there as they are in its source were
    exchanged for those of ``source`` at the same place; "" where lengths or words do not fit."""
    ours, theirs = source.split(), pair.source.split()
    if len(ours) != len(theirs):
        return ""
    text, changed = pair.target, False
    for new, old in zip(ours, theirs, strict=True):
        if new == old:
            continue
        said = known.get(old.lower(), old)
        if said not in text:
            return ""
        text, changed = text.replace(said, known.get(new.lower(), new), 1), True
    return text if changed else ""


def rendering_features(
    held: Sequence[Rendering], source: str, support: Sequence[Pair], tuned: np.ndarray
) -> np.ndarray:
    """Return (renderings, columns) float32, each column about of size one.

    ``tuned`` (renderings,) are mean log probabilities of a sub-word under the writer that was tuned.
    """
    letters = Counter(letter for pair in support for letter in pair.target)
    scripts = {script(letter) for letter in letters}
    ratios = [len(pair.target) / max(1, len(pair.source)) for pair in support] or [1.0]
    ends = Counter(pair.target[-1:] for pair in support if pair.source[-1:].isalpha())
    upper = np.mean([pair.target[:1].isupper() for pair in support] or [0.5])
    agree = np.array([[likeness(one.text, other.text) for other in held] for one in held])
    own = np.array([one.kind == Kind.TUNED for one in held])
    with_tuned = agree[:, own].mean(1) if own.any() else np.zeros(len(held))
    best = max((one.chance for one in held if one.chance), default=0.0)
    near = max((likeness(pair.source, source) for pair in support), default=0.0)
    wanted, rows = placeholders(source), []
    for at, one in enumerate(held):
        told = [letter for letter in one.text if letter.isalpha()]
        length = len(one.text) / max(1, len(source))
        rows.append(
            [
                *(float(one.kind == kind) for kind in Kind),
                one.place / 3,
                max(one.chance, -12) / 3,
                max(one.chance - best, -12) / 3 if one.chance else 0.0,
                max(tuned[at], -12) / 3,
                max(tuned[at] - tuned.max(), -12) / 3,
                (agree[at].sum() - 1) / max(1, len(held) - 1),
                with_tuned[at],
                likeness(one.text, source),
                min(length, 4) / 2,
                min(abs(np.log(max(length, 0.05)) - np.log(np.mean(ratios))), 2),
                sum(letter in letters for letter in one.text) / max(1, len(one.text)),
                sum(script(letter) not in scripts for letter in told) / max(1, len(told)),
                float(placeholders(one.text) == wanted),
                near,
                min(len(support), 200) ** 0.5 / 10,
                len(source.split()) / 8,
                ends[one.text[-1:]] / max(1, ends.total()),
                1 - abs(float(one.text[:1].isupper()) - upper),
            ]
        )
    return np.array(rows, dtype=np.float32)


def likeness(one: str, other: str) -> float:
    """Return the F1 of the pairs of neighbouring characters of two texts, without case."""
    ours, theirs = _pairs(one.lower()), _pairs(other.lower())
    return 2 * (ours & theirs).total() / max(1, ours.total() + theirs.total())


def _pairs(text: str) -> Counter[str]:
    marked = f" {text} "
    return Counter(marked[at : at + 2] for at in range(len(marked) - 1))


def script(letter: str) -> str:
    """Return the script of a letter: the first word of its Unicode name."""
    return unicodedata.name(letter, "").partition(" ")[0]
