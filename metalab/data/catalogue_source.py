"""Tasks of translating into a language: learnt from K pairs, judged on texts that nobody trained on."""

from __future__ import annotations

import torch
from torch import Tensor

from metalab.data.catalogues import bucket, catalogues
from metalab.data.languages import CHOOSING, LEAST, RELATED, UNSEEN, VALIDATION, kept_out
from metalab.data.pairs import TARGET_LENGTH, Groups, Pair, PairSource
from metalab.data.questions import numpy_generator
from metalab.data.subwords import Vocabulary, train_vocabulary, vocabulary
from metalab.tasks import Examples, Split, TaskShape

NAME = "languages"
"""The vocabulary of interface phrases and names."""
BUCKETS: dict[str, range] = {
    "writing": range(55),
    "train": range(55, 70),
    "validation": range(70, 80),
    "test": range(80, 100),
}
"""Which texts, by the hash of the English one, the writer is pre-trained on, and on which tasks of each split
are judged: no text is in two, in whatever language."""
TEST = (*RELATED, *(code for codes in UNSEEN.values() for code in codes))


class CatalogueSource(PairSource):
    """Of a task's language the query texts are of its split alone; the examples are any other texts.

    Pre-training draws from :attr:`written`: other languages, other texts than any query.
    """

    def __init__(
        self, size: int, device: torch.device | str = "cpu", words: Vocabulary | None = None
    ) -> None:
        words = words or vocabulary(NAME)
        held = {code: _fitting(pairs, words, size) for code, pairs in catalogues().items()}
        held = {code: pairs for code, pairs in held.items() if len(pairs) >= LEAST}
        codes = {"train": CHOOSING, "validation": VALIDATION, "test": TEST}
        splits = {
            split: {code: held[code] for code in sorted(own) if code in held} for split, own in codes.items()
        }
        super().__init__("catalogues", splits, words, size, device)
        self.written = PairSource("catalogues", {"train": writing_pairs(held)}, words, size, device)

    @property
    def n_train_classes(self) -> int:
        """Number of languages that the writer is pre-trained on."""
        return self.written.n_train_classes

    def labelled_pairs(self, n: int, generator: torch.Generator) -> tuple[Examples, Tensor]:
        """Draw ``n`` pairs of the writer's languages, and the numbers of these."""
        return self.written.labelled_pairs(n, generator)

    def _rows(self, split: Split, group: str) -> tuple[list[int], list[int]]:
        """Return the places of texts to judge by, and of the others."""
        judged, others = [], []
        for place, pair in enumerate(self.pairs[split][group]):
            (judged if bucket(pair.source) in BUCKETS[split] else others).append(place)
        return judged, others

    def _enough(self, split: Split, shape: TaskShape) -> list[str]:
        def suits(group: str) -> bool:
            judged, others = self._rows(split, group)
            return len(judged) >= shape.query and len(others) >= shape.shot

        return [group for group in self._groups(split) if suits(group)]

    def _drawn(
        self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator
    ) -> list[tuple[str, list[int]]]:
        rng, groups = numpy_generator(generator), self._enough(split, shape)
        drawn = []
        for _ in range(n_tasks):
            group = groups[rng.integers(len(groups))]
            judged, others = self._rows(split, group)
            rows = [*rng.choice(others, shape.shot, False), *rng.choice(judged, shape.query, False)]
            drawn.append((group, [int(row) for row in rows]))
        return drawn


def writing_pairs(held: Groups) -> Groups:
    """Return the pairs that the writer is pre-trained on: no held-out language, no text that is judged by."""
    out = {*CHOOSING, *VALIDATION, *TEST} | kept_out()
    return {
        code: [pair for pair in pairs if bucket(pair.source) in BUCKETS["writing"]]
        for code, pairs in sorted(held.items())
        if code not in out
    }


def make_vocabulary() -> Vocabulary:
    """Learn the sub-words from what the writer is pre-trained on alone: English once, the others each."""
    groups = writing_pairs(catalogues())
    english = sorted({pair.source for pairs in groups.values() for pair in pairs})
    texts = [pair.target for pairs in groups.values() for pair in pairs]
    return train_vocabulary([*english * 10, *texts])


def _fitting(pairs: list[Pair], words: Vocabulary, size: int) -> list[Pair]:
    """Return the pairs that are read and written whole."""
    sources = words.encode_all([pair.source for pair in pairs])
    targets = words.encode_all([pair.target for pair in pairs])
    return [
        pair
        for pair, source, target in zip(pairs, sources, targets, strict=True)
        if len(source) <= size and len(target) < TARGET_LENGTH
    ]
