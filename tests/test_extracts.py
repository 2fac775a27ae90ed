"""Summaries that are made of the document's own words."""

from __future__ import annotations

import pytest

from metalab import extracts
from metalab.applications import application
from metalab.data.pairs import Pair
from metalab.data.summaries import sentences
from metalab.extracts import best_sentence, centroid, cut, lead, nearest_summary, template, told

SUPPORT = [
    Pair(
        "mean filter\nThe filter takes the mean of pixels around each pixel.", "Smooth an image by its mean."
    ),
    Pair("shortest path\nA path between nodes of a graph is searched for.", "Find the shortest path."),
]
DOCUMENT = (
    "graph: longest path\nThe nodes of the graph are ordered first, then paths grow.\n"
    "Weights of paths between nodes of the graph are summed.\nIt is slow on large inputs, mind."
)


def test_sentences_end_at_lines_and_not_at_abbreviations() -> None:
    assert sentences("One is here. Two, e.g. This one.\nThree") == [
        "One is here.",
        "Two, e.g. This one.",
        "Three",
    ]


def test_titles_are_no_sentences_unless_there_is_nothing_else() -> None:
    assert told(DOCUMENT)[0].startswith("The nodes")
    assert told("only this") == ["only this"]


def test_lead_has_the_length_of_the_examples() -> None:
    assert lead(SUPPORT, DOCUMENT) == "The nodes of the graph"  # 6 and 4 words in the mean
    assert cut([], "a b " * 20).split() == ["a", "b"] * 6


def test_the_nearest_example_gives_its_summary_and_its_first_word() -> None:
    assert nearest_summary(SUPPORT, DOCUMENT) == "Find the shortest path."
    assert template(SUPPORT, DOCUMENT) == "Find the longest path"


def test_the_central_sentence_is_about_what_the_others_are_about() -> None:
    assert centroid(SUPPORT, DOCUMENT).split()[0] in {"Weights", "The"}
    assert best_sentence("Weights are summed", DOCUMENT).startswith("Weights of paths")


@pytest.mark.parametrize("make", ["lead", "title_and_lead", "centroid", "text_rank", "template"])
@pytest.mark.parametrize("document", ["", "x", "...", "one line of a few words alone", "日本語の文書です。"])
def test_any_document_gets_some_text(make: str, document: str) -> None:
    assert isinstance(getattr(extracts, make)(SUPPORT, document), str)


def test_baselines_are_registered() -> None:
    names = [name for name, _, _ in application("summarisation").baselines]
    assert {"lead", "text-rank", "centroid", "nearest-summary", "template", "ridge"} <= set(names)
