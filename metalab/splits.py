"""What a task source holds in each split, and whether anything leaks from one split into another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from metalab.tasks import SPLITS, Split, TaskSource

NAMES: dict[Split, str] = {
    "train": "meta-train",
    "validation": "meta-validation",
    "test": "meta-test",
}
MOST_NAMED = 5
"""Shared classes that the words name, at most."""


@dataclass(frozen=True)
class SplitSummary:
    """One split: classes by group (alphabet) with turned ones counted, and the originals of each class."""

    groups: dict[str, int]
    examples: dict[str, int]
    endless: bool

    @property
    def n_classes(self) -> int:
        """Number of classes, turned ones included."""
        return sum(self.groups.values())


@dataclass(frozen=True)
class Leakage:
    """Classes and examples that two splits have in common; by name and by content."""

    classes: list[str]
    examples: int

    @property
    def found(self) -> bool:
        """Whether anything is shared."""
        return bool(self.classes or self.examples)

    @property
    def words(self) -> str:
        """The finding in plain words."""
        if not self.found:
            return (
                "0 classes shared, 0 identical examples: what is judged in meta-validation and meta-test was "
                "never trained on."
            )
        named = ", ".join(self.classes[:MOST_NAMED]) + (" …" if len(self.classes) > MOST_NAMED else "")
        return (
            f"{_count(len(self.classes), 'class', 'classes')} shared{f' ({named})' if named else ''}, "
            f"{_count(self.examples, 'identical example', 'identical examples')} in two splits: results will "
            "look better than they are. Take the doubles out."
        )


def summarise(source: TaskSource) -> tuple[dict[Split, SplitSummary], Leakage]:
    """Return a summary of each split of ``source``, and what its splits have in common."""
    originals = {split: source.originals(split) for split in SPLITS}
    summaries = {
        split: SplitSummary(
            {group: len(ids) for group, ids in source.groups(split).items()},
            {name: len(held) for name, held in originals[split].items()},
            source.endless,
        )
        for split in SPLITS
    }
    return summaries, leakage(originals)


def leakage(originals: Mapping[Split, Mapping[str, list[bytes]]]) -> Leakage:
    """Compare the splits pair by pair; ``originals`` maps classes to digests of their examples."""
    classes: set[str] = set()
    examples: set[bytes] = set()
    for one, other in combinations(originals.values(), 2):
        classes |= one.keys() & other.keys()
        examples |= _contents(one) & _contents(other)
    return Leakage(sorted(classes), len(examples))


def _contents(classes: Mapping[str, list[bytes]]) -> set[bytes]:
    return {digest for held in classes.values() for digest in held}


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
