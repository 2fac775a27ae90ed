"""What a chooser sees of each draft: how it was made, and how it suits its document, examples and likes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from metalab.data.pairs import Pair
from metalab.drafts import Draft, Kind
from metalab.rouge import bare_words

NAMES = (
    *(f"kind {kind.name.lower()}" for kind in Kind),
    *("place", "words", "words less the examples'", "their distance", "examples"),
    *("of the draft in the title", "of the title in the draft", "of the draft in the text", "frequency"),
    *("repeated words", "first word in examples", "first word of the nearest", "likeness to an example"),
    *("agreement", "agreement with the writer"),
    *("log probability", "below the likeliest", "of the first sub-word", "log probability of all"),
)
"""One column each."""
NEVER = -12.0
"""Least log probability that is told apart."""


def draft_features(
    held: Sequence[Draft],
    document: str,
    support: Sequence[Pair],
    nearest: str,
    chances: np.ndarray,
) -> np.ndarray:
    """Return (drafts, columns) float32, each column about of size one.

    ``nearest`` is the summary of the nearest example, "" without any; ``chances`` (drafts, 3) are a writer's
    log probabilities: the mean of a draft's sub-words, that of the first, the sum.
    """
    words = [bare_words(draft.text) for draft in held]
    title, _, body = document.partition("\n")
    title_words, counts = set(bare_words(title)), Counter(bare_words(body))
    examples = [bare_words(pair.target) for pair in support]
    usual = np.mean([len(one) for one in examples]) if examples else 0.0
    firsts = Counter(one[0] for one in examples if one)
    first_nearest = next(iter(bare_words(nearest)), "")
    agree = agreement(words)
    written = np.array([draft.kind == Kind.WRITTEN for draft in held])
    with_writer = agree[:, written].mean(1) if written.any() else np.zeros(len(held))
    mean, first, total = np.maximum(chances, NEVER * np.array([1, 1, 10])).T
    rows = []
    for at, (draft, own) in enumerate(zip(held, words, strict=True)):
        n, different = max(1, len(own)), set(own)
        apart = (len(own) - usual) / 10 if examples else 0.0
        rows.append(
            [
                *(float(draft.kind == kind) for kind in Kind),
                min(draft.place, 8) / 8,
                len(own) / 10,
                apart,
                abs(apart),
                min(len(examples), 10) / 10,
                len(different & title_words) / max(1, len(different)),
                len(different & title_words) / max(1, len(title_words)),
                sum(word in counts for word in own) / n,
                sum(np.log1p(counts[word]) for word in own) / n,
                1 - len(different) / n,
                firsts[own[0]] / len(examples) if own and examples else 0.0,
                float(bool(own) and own[0] == first_nearest),
                max((_likeness(own, one) for one in examples), default=0.0),
                (agree[at].sum() - 1) / max(1, len(held) - 1),
                with_writer[at],
                mean[at] / 3,
                (mean[at] - mean.max()) / 3,
                first[at] / 5,
                total[at] / 40,
            ]
        )
    return np.array(rows, dtype=np.float32)


def agreement(words: Sequence[Sequence[str]]) -> np.ndarray:
    """Return the F1 (n, n) of the different words of each two texts."""
    known = {word: at for at, word in enumerate(dict.fromkeys(word for own in words for word in own))}
    member = np.zeros((len(words), max(1, len(known))))
    for row, own in zip(member, words, strict=True):
        row[[known[word] for word in own]] = 1
    sizes = member.sum(1)
    return 2 * (member @ member.T) / np.maximum(1, sizes[:, None] + sizes[None])


def _likeness(one: Sequence[str], other: Sequence[str]) -> float:
    ours, theirs = set(one), set(other)
    return 2 * len(ours & theirs) / max(1, len(ours) + len(theirs))
