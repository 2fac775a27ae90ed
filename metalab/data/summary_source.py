"""Tasks of summarising documentation, and gap sentences beside them, because honest pairs are few.

A gap sentence (Zhang et al. 2020, PEGASUS) is the sentence of a meta-train docstring that shares most words
with the others; it is to be written from them.
"""

from __future__ import annotations

import functools
import hashlib
import re

import torch
from torch import Tensor

from metalab.data.docstrings import docstrings, installed
from metalab.data.pairs import Encoded, Pair, PairSource, encoded, padded
from metalab.data.plain import plain
from metalab.data.questions import numpy_generator
from metalab.data.subwords import Vocabulary, train_vocabulary, vocabulary
from metalab.data.summaries import (
    FEWEST_WORDS,
    GENERATED,
    MOST_WORDS,
    PACKAGES,
    bare,
    heading,
    keys,
    sentences,
    summaries,
)
from metalab.tasks import SPLITS, Examples

NAME = "documents"
"""The vocabulary of documentation."""
GAP_SHARE = 0.5
"""Share of gap sentences among the pairs of pre-training."""
_FIELD = re.compile(r"[\w*, -]{1,40} ?: ")
"""How a line about one parameter starts: it is no gap."""
GAP_WORDS = 20
"""Words of what is left of a text around its gap, at least."""


class SummarySource(PairSource):
    """Pairs of documents and summaries; pre-training sees gap sentences too, as one more group."""

    def __init__(
        self, size: int, device: torch.device | str = "cpu", words: Vocabulary | None = None
    ) -> None:
        splits = {split: summaries(split) for split in SPLITS}
        super().__init__("docstrings", splits, words or vocabulary(NAME), size, device)

    @functools.cached_property
    def _gaps(self) -> Encoded:
        return encoded(gap_sentences(), self.vocabulary, self.size)

    def labelled_pairs(self, n: int, generator: torch.Generator) -> tuple[Examples, Tensor]:
        """Draw ``n`` pairs, :data:`GAP_SHARE` of them gap sentences, whose group is the last number."""
        count = round(n * GAP_SHARE)
        pairs, groups = super().labelled_pairs(n - count, generator)
        rows = numpy_generator(generator).integers(len(self._gaps.sources), size=count)
        x = torch.from_numpy(padded([self._gaps.sources[row] for row in rows])).float().to(self.device)
        y = torch.from_numpy(padded([self._gaps.targets[row] for row in rows])).to(self.device)
        number = groups.new_full((count,), self.n_train_classes)
        return Examples(_joined(pairs.x, x), _joined(pairs.y, y)), torch.cat([groups, number])


def _joined(one: Tensor, other: Tensor) -> Tensor:
    """Return the rows of both, padded (with 0, the padding's number) to one length."""
    length = max(one.shape[1], other.shape[1])
    return torch.cat([torch.nn.functional.pad(part, (0, length - part.shape[1])) for part in (one, other)])


@functools.cache
def gap_sentences() -> list[Pair]:
    """Return one pair of each meta-train docstring that has enough text; none of what other splits have."""
    held_out = {
        key
        for split in SPLITS[1:]
        for pairs in summaries(split).values()
        for one in pairs
        for key in keys(one)
    }
    found: list[Pair] = []
    seen: set[bytes] = set()
    for package in PACKAGES["train"]:
        for one in docstrings(package) if installed(package) else ():
            if one.where.startswith(GENERATED):
                continue
            told = sentences(plain(one.text))
            pair = _gap(heading(one.where), told)
            if pair is None or held_out.intersection([*map(bare, told), *keys(pair)]):
                continue
            digest = hashlib.sha256(bare(pair.source.partition("\n")[2]).encode()).digest()
            if digest not in seen:
                seen.add(digest)
                found.append(pair)
    return found


def _gap(title: str, told: list[str]) -> Pair | None:
    words = [set(bare(text).split()) for text in told]
    best, most = None, 0.0
    for at, text in enumerate(told):
        if not (
            FEWEST_WORDS <= len(text.split()) <= MOST_WORDS
            and text[:1].isalpha()
            and text.endswith(".")
            and not _FIELD.match(text)
        ):
            continue
        rest = set().union(*words[:at], *words[at + 1 :])
        shared = 2 * len(words[at] & rest) / max(1, len(words[at]) + min(len(rest), MOST_WORDS))
        if shared > most:
            best, most = at, shared
    if best is None or sum(len(text.split()) for text in told) - len(told[best].split()) < GAP_WORDS:
        return None
    return Pair("\n".join([title, *told[:best], *told[best + 1 :]]), told[best])


def make_vocabulary() -> Vocabulary:
    """Learn the sub-words of documentation from meta-train texts alone."""
    held = summaries("train").values()
    return train_vocabulary(text for pairs in held for pair in pairs for text in (pair.source, pair.target))
