"""Tasks of translating into a language that nobody trained on, learnt from K pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from metalab.data.catalogues import catalogues
from metalab.data.languages import CHOOSING, LEAST, RELATED, UNSEEN, VALIDATION, kept_out
from metalab.data.pairs import TARGET_LENGTH, Groups, Pair, PairSource
from metalab.data.questions import numpy_generator
from metalab.data.subwords import Vocabulary, train_vocabulary, vocabulary
from metalab.tasks import Examples, Split, TaskShape, seeded

NAME = "languages"
"""The vocabulary of interface phrases and names."""
POOL = 80
"""Meta-train tasks of a shape, met several times: to tune a writer to one takes a second."""
TEST = (*RELATED, *(code for codes in UNSEEN.values() for code in codes))


class CatalogueSource(PairSource):
    """A task is a language. The splits share none, and pre-training draws from others still, :attr:`written`;
    the English texts are the same in all of them."""

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

    def _drawn(
        self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator
    ) -> list[tuple[str, list[int]]]:
        """In meta-train, draw among :data:`POOL` tasks of each shape."""
        if split != "train":
            return super()._drawn(n_tasks, split, shape, generator)
        numbers = numpy_generator(generator).integers(POOL, size=n_tasks)
        return [super(CatalogueSource, self)._drawn(1, split, shape, pool_task(n))[0] for n in numbers]

    def labelled_pairs(self, n: int, generator: torch.Generator) -> tuple[Examples, Tensor]:
        """Draw ``n`` pairs of the writer's languages, and the numbers of these."""
        return self.written.labelled_pairs(n, generator)


def pool_task(number: int) -> torch.Generator:
    """Return the generator that draws meta-train task ``number``."""
    return seeded("cpu", "catalogues", "pool", int(number))


def writing_pairs(held: Groups) -> Groups:
    """Return the pairs that the writer is pre-trained on: of no language of any task."""
    out = {*CHOOSING, *VALIDATION, *TEST} | kept_out()
    return {code: pairs for code, pairs in sorted(held.items()) if code not in out}


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
