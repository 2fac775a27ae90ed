"""Spans: scores against a naive sum, the best span, the loss, F1 and exact match."""

from __future__ import annotations

import pytest
import torch

from metalab.data.answered import LONGEST
from metalab.spans import as_outputs, best_spans, exact_match, same_words, span_f1, span_loss, span_scores
from metalab.tasks import Examples


def outputs_of(n: int = 2, length: int = 50, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, 1, length, generator=torch.Generator().manual_seed(seed)).double()


def test_scores_are_sums_over_the_tokens() -> None:
    outputs = outputs_of()
    scores, logits = span_scores(outputs), outputs[:, :, 0]
    for text in range(2):
        for start in (0, 7, 48):
            for count in range(1, min(LONGEST, 50 - start) + 1):
                inside = range(start + 1, start + count)
                naive = logits[text, 1, start] - logits[text, 0, start]
                naive = naive + sum(logits[text, 2, at] - logits[text, 0, at] for at in inside)
                assert scores[text, start, count - 1] == pytest.approx(float(naive), abs=1e-9)
    assert (scores[:, 48, 2:] < -50).all()  # beyond the end


def test_the_loss_is_a_cross_entropy_over_all_spans_and_none() -> None:
    outputs = outputs_of(1, 6)
    labels = torch.tensor([[-1, 0, 1, 2, 2, 0]])
    scores = torch.cat([span_scores(outputs).flatten(), torch.zeros(1).double()])
    tokens = torch.nn.functional.cross_entropy(outputs[:, :, 0], labels, ignore_index=-1)
    expected = -scores.log_softmax(0)[2 * LONGEST + 2] + tokens
    assert span_loss(outputs, labels) == pytest.approx(float(expected))
    nothing = torch.tensor([[-1, 0, 0, 0, 0, 0]])
    tokens = torch.nn.functional.cross_entropy(outputs[:, :, 0], nothing, ignore_index=-1)
    assert span_loss(outputs, nothing) == pytest.approx(float(-scores.log_softmax(0)[-1] + tokens))


def test_the_best_span_and_its_f1() -> None:
    outputs = torch.zeros(3, 3, 1, 10)
    outputs[:, 1:] = -5
    outputs[0, 1, 0, 3], outputs[0, 2, 0, 4] = 9, 9  # tokens 3 and 4
    outputs[1, 1, 0, 0] = 9  # token 0
    start, count, sure = best_spans(outputs)
    assert start[:2].tolist() == [3, 0]
    assert count.tolist() == [2, 1, 0]
    assert (sure > 0.9).all()
    labels = torch.zeros(3, 10, dtype=torch.int64)
    labels[0, 3], labels[0, 4:6] = 1, 2  # two of three found
    labels[1, 9] = 1  # missed
    assert span_f1(outputs, labels) == pytest.approx((2 * 2 / 5 + 0 + 1) / 3)
    assert exact_match(outputs, labels) == pytest.approx(1 / 3)


def test_the_same_words_elsewhere_are_right_by_words_alone() -> None:
    outputs = torch.zeros(4, 3, 1, 10)
    outputs[:, 1:] = -5
    outputs[:3, 1, 0, 2], outputs[:3, 2, 0, 3] = 9, 9  # tokens 2 and 3; of the last text none
    labels = torch.zeros(4, 10, dtype=torch.int64)
    labels[:3, 6], labels[:2, 7] = 1, 2
    x = torch.arange(10.0)[None, :, None].repeat(4, 1, 6)
    x[0, 6:8] = x[0, 2:4]  # the same two words; of the second text others, of the third one too few
    assert same_words(outputs, Examples(x, labels)) == pytest.approx(2 / 4)
    assert exact_match(outputs, labels) == pytest.approx(1 / 4), "none where there is none"


def test_questions_and_padding_are_never_answers() -> None:
    x = torch.zeros(1, 8, 6)
    x[0, :, -1] = torch.tensor([1, 1, 2, 3, 2, 0, 0, 0])
    logits = torch.zeros(8, 3)
    logits[:, 1:] = 5
    start, count, _ = best_spans(as_outputs(logits, x))
    assert (start.item(), count.item()) == (2, 3)
