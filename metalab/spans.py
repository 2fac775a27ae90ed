"""Answers as spans of tokens: labels, the score of every span, the loss, the best span, and token F1.

Outputs are logits (n, 3, 1, length) of a token being outside, the beginning or the inside of the answer, a
picture of one row of pixels as it were, so common classifiers of examples serve. A span's score is the sum of
its tokens' logits over "outside"; no answer scores 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.data.answered import LONGEST
from metalab.data.questions import BEGIN, INSIDE
from metalab.data.words import TOLD
from metalab.tasks import Examples

NEVER = -100.0
"""Logit of what cannot be part of an answer: the question and padding. Sums of it must stay exact enough."""
TOKEN_SHARE = 1.0
"""Weight of the tokens' own cross-entropy beside the spans'."""


def as_outputs(logits: Tensor, x: Tensor) -> Tensor:
    """Return token logits (n * length, 3) of texts ``x`` (n, length, 6) as outputs (n, 3, 1, length)."""
    n, length = x.shape[:2]
    told = x[..., -1] >= TOLD
    logits = logits.view(n, length, 3)
    plain = torch.where(told[..., None], logits, logits.new_tensor([0.0, NEVER, NEVER]))
    return plain.transpose(1, 2)[:, :, None]


def span_scores(outputs: Tensor) -> Tensor:
    """Return the score (n, length, LONGEST) of the span that starts at a token and has 1, 2 … tokens."""
    logits = outputs[:, :, 0]
    begin, inside = logits[:, 1] - logits[:, 0], logits[:, 2] - logits[:, 0]
    until = F.pad(inside, (0, LONGEST - 1), value=NEVER).cumsum(1)
    # Sums of the inside logits of the tokens that follow the first.
    return begin[..., None] + until.unfold(1, LONGEST, 1) - until[:, : inside.shape[1], None]


def span_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return cross-entropy over all spans, and none, plus that of tokens; ``labels`` (n, length)."""
    scores = span_scores(outputs).flatten(1)
    n = len(scores)
    start, count = spans_of(labels)
    at = (start * LONGEST + count - 1).clamp(min=0)
    true = torch.where(count > 0, scores.gather(1, at[:, None])[:, 0], 0.0)
    whole = torch.cat([scores, scores.new_zeros(n, 1)], 1).logsumexp(1)
    tokens = F.cross_entropy(outputs[:, :, 0], labels, ignore_index=-1)
    return (whole - true).mean() + TOKEN_SHARE * tokens


def spans_of(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first token (n,) of each answer and its number of tokens (n,), 0 where there is none."""
    begin = labels == BEGIN
    count = (begin | (labels == INSIDE)).sum(1)
    return begin.float().argmax(1), count


def best_spans(outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return first token (n,), number of tokens (n,) and probability (n,) of the best span of each text.

    The probability is a softmax over all spans and none. No answer, a count of 0, if all score below 0.
    """
    scores = span_scores(outputs).flatten(1)
    best, at = scores.max(1)
    nothing = best < 0
    whole = torch.cat([scores, scores.new_zeros(len(scores), 1)], 1).logsumexp(1)
    sure = (torch.where(nothing, 0.0, best) - whole).exp()
    return at // LONGEST, torch.where(nothing, 0, at % LONGEST + 1), sure


def span_f1(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean F1 of the best spans' tokens against the answers' (as SQuAD, but by place).

    Where both are none F1 is 1.
    """
    start, count = best_spans(outputs)[:2]
    place = torch.arange(labels.shape[1], device=labels.device)
    ours = (place >= start[:, None]) & (place < (start + count)[:, None])
    theirs = labels > 0
    both, total = (ours & theirs).sum(1), ours.sum(1) + theirs.sum(1)
    return torch.where(total > 0, 2 * both / total.clamp(min=1), 1.0).mean()


def exact_match(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the share of texts of which the best span is the answer."""
    (start, count), (first, number) = best_spans(outputs)[:2], spans_of(labels)
    return ((count == number) & ((start == first) | (number == 0))).float().mean()


def same_words(outputs: Tensor, examples: Examples) -> Tensor:
    """Return the share of texts of which the best span has the answer's words, wherever they stand (SQuAD's
    exact match): in a story one name may stand in many sentences."""
    (start, count), (first, number) = best_spans(outputs)[:2], spans_of(examples.y)
    held = examples.x[..., 0]
    right = [
        n == m and bool((row[a : a + n] == row[b : b + n]).all())
        for row, a, n, b, m in zip(held, start, count, first, number, strict=True)
    ]
    return torch.tensor(right).float().mean()


def answer_scores(outputs: Tensor, examples: Examples) -> dict[str, float]:
    """Return token F1, exact match, and exact match wherever the words stand, 0..1, of one task."""
    return {
        "token F1": float(span_f1(outputs, examples.y)),
        "exact match": float(exact_match(outputs, examples.y)),
        "same words": float(same_words(outputs, examples)),
    }
