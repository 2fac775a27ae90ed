"""Pairs of documents and summaries from docstrings."""

from __future__ import annotations

import pytest
import torch

from metalab.config import Config
from metalab.data import create_source
from metalab.data.docstrings import Docstring
from metalab.data.plain import plain
from metalab.data.summaries import LEAST, PACKAGES, bare, keys, pair_of, summaries
from metalab.data.summary_source import GAP_SHARE, _gap, gap_sentences
from metalab.tasks import SPLITS, TaskShape

BODY = (
    "It reads every pixel of the image once, and then it writes the mean of those around it to a new image. "
)


def docstring(first: str, body: str = 2 * BODY) -> Docstring:
    return Docstring("box.filters.Blur.mean_of", f"{first}\n\n{body}")


def test_the_first_sentence_is_the_summary_and_the_name_a_heading() -> None:
    made = pair_of(docstring("Return the mean of pixels around each. More follows."))
    assert made.target == "Return the mean of pixels around each."
    assert made.source.startswith("blur: mean of\nMore follows.")
    assert made.target not in made.source


@pytest.mark.parametrize(
    "first",
    [
        "f(a, b) -> c",
        "Too short.",
        "See https://example.org for what it does.",
        ">>> mean(image) of the pixels",
    ],
)
def test_what_is_no_summary_is_left_out(first: str) -> None:
    assert pair_of(docstring(first)) is None


def test_short_bodies_are_left_out() -> None:
    assert pair_of(docstring("Return the mean of pixels around each.", "It is quick.")) is None


def test_markup_code_and_see_also_vanish() -> None:
    text = (
        "Uses :func:`~a.mean` and ``b``.\n\n>>> mean(1)\n1\n\nSee Also\n--------\nother\n\n"
        "Notes\n-----\nTrue [1]_.\n\n.. note:: no\n   hidden"
    )
    assert plain(text) == "Uses a.mean and b.\nNotes:\nTrue."


def test_splits_share_no_package_no_document_and_no_summary() -> None:
    packages = [set(PACKAGES[split]) for split in SPLITS]
    assert len(set.union(*packages)) == sum(map(len, packages))
    held = [
        [key for pairs in summaries(split).values() for pair in pairs for key in keys(pair)]
        for split in SPLITS
    ]
    for one, keys_of in enumerate(held):
        for other in held[one + 1 :]:
            assert not set(keys_of) & set(other)
    assert all(len(pairs) >= LEAST for split in SPLITS for pairs in summaries(split).values())


def test_gap_is_the_sentence_most_like_the_rest() -> None:
    told = [
        "Paths of a graph are long and many.",
        "It was Monday when all this was written.",
        "A graph has paths.",
    ]
    rest = "Many paths of a graph are as long as the graph itself, and many are found in the graph again."
    made = _gap("paths", [*told, rest])
    assert made.target == told[0]
    assert made.target not in made.source
    assert made.source.startswith("paths\n")
    assert _gap("paths", told[:1]) is None


def test_gaps_hold_nothing_of_held_out_splits() -> None:
    summary = {
        bare(pair.target) for split in SPLITS[1:] for held in summaries(split).values() for pair in held
    }
    gaps = gap_sentences()
    assert len(gaps) > 1000
    assert not summary & {bare(pair.target) for pair in gaps}
    assert not summary & {bare(line) for pair in gaps for line in pair.source.split("\n")}


def test_the_source_draws_tasks_and_gap_sentences() -> None:
    source = create_source(Config.create(application="summarisation"))
    batch = source.sample(2, "test", TaskShape(1, 5, 3), torch.Generator().manual_seed(0))
    assert batch.support.x.shape[:2] == (2, 5)
    assert batch.query.y.shape[:2] == (2, 3)
    assert batch.support.x.shape[2] <= source.size
    pairs, groups = source.labelled_pairs(16, torch.Generator().manual_seed(0))
    assert len(pairs.x) == len(pairs.y) == 16
    assert (groups == source.n_train_classes).sum() == round(16 * GAP_SHARE)
    again = source.labelled_pairs(16, torch.Generator().manual_seed(0))[0]
    assert torch.equal(pairs.x, again.x)
