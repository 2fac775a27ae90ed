"""Small made-up languages for tests of applications that write."""

from __future__ import annotations

import functools
import random

from metalab.data.pairs import Pair, PairSource
from metalab.data.subwords import Vocabulary, train_vocabulary

WORDS = [
    "".join(random.Random(seed).choices("abcdefgh", k=random.Random(seed).randint(3, 6)))
    for seed in range(200)
]
ENDINGS = ("o", "a", "us", "is")


def language(seed: int, count: int = 60) -> list[Pair]:
    """Sentences of three words, and the same in a language that puts an ending to each word."""
    draw = random.Random(seed)
    ending = draw.choice(ENDINGS)
    sentences = [draw.sample(WORDS, 3) for _ in range(count)]
    return [Pair(" ".join(said), " ".join(word + ending for word in said)) for said in sentences]


@functools.cache
def toy_vocabulary() -> Vocabulary:
    held = [text for seed in range(8) for pair in language(seed) for text in (pair.source, pair.target)]
    return train_vocabulary(held, 600)


def toy_source(size: int = 48) -> PairSource:
    """Eight languages to learn from, two to validate, two held out."""
    splits = {
        "train": {f"train {seed}": language(seed) for seed in range(8)},
        "validation": {f"validation {seed}": language(100 + seed) for seed in range(2)},
        "test": {f"test {seed}": language(200 + seed) for seed in range(2)},
    }
    return PairSource("toy", splits, toy_vocabulary(), size)
