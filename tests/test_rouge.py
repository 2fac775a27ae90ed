"""ROUGE and the other measures of summaries."""

from __future__ import annotations

import pytest
import torch

from metalab.candidates import written_ids
from metalab.data.pairs import Pair, pair_examples
from metalab.data.subwords import vocabulary
from metalab.rouge import MEASURES, judge_summaries, measures, novelty, rouge, rouge_l


def test_rouge_counts_words_pairs_and_the_longest_common_subsequence() -> None:
    held = rouge("the cat sat", "the cat slept and sat")  # 3 of 3 and 3 of 5 words; pairs 1 of 2, 1 of 4
    assert held.one == pytest.approx(2 * 1 * 0.6 / 1.6)
    assert held.two == pytest.approx(2 * 0.5 * 0.25 / 0.75)
    assert held.longest == pytest.approx(0.75)
    assert rouge("sat cat the", "the cat sat").longest == pytest.approx(1 / 3)


def test_rouge_l_alone_is_the_same() -> None:
    assert rouge_l("a b c d", "b x d") == rouge("a b c d", "b x d").longest


def test_novelty_is_the_share_of_words_that_the_document_lacks() -> None:
    assert novelty("Return the mean", "the Mean, of it") == pytest.approx(1 / 3)
    assert novelty("", "anything") == 0


def test_written_ids_are_judged_as_text() -> None:
    words = vocabulary("documents")
    pairs = [Pair("the document of some words", "Return the mean."), Pair("another one", "Draw a line.")]
    examples = pair_examples(pairs, words, 32)
    right = written_ids([pair.target for pair in pairs], words)
    half = written_ids(["Return the mean.", ""], words)
    assert judge_summaries(right, examples).item() == pytest.approx(1)
    assert judge_summaries(half, examples).item() == pytest.approx(0.5)
    told = dict(zip(MEASURES, measures(right, examples).tolist(), strict=True))
    assert told["length"] == pytest.approx(1)
    assert told["novelty"] == pytest.approx(5 / 6)  # "the" alone is no news
    assert torch.isfinite(measures(half, examples)).all()
