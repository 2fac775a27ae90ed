"""How good a summary is: ROUGE (Lin 2004), and what else tables say of it."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from metalab.data.subwords import PAD, vocabulary
from metalab.tasks import Examples

if TYPE_CHECKING:  # it takes a second to import
    from rouge_score.rouge_scorer import RougeScorer


MEASURES = ("ROUGE-L", "ROUGE-1", "ROUGE-2", "novelty", "length")
"""What :func:`measures` returns; length is in words, of the true summary's."""


class Rouge(NamedTuple):
    """F1 of single words, of pairs of words, and of the longest common subsequence; shares."""

    one: float
    two: float
    longest: float


def rouge(written: str, truth: str) -> Rouge:
    """Return ROUGE-1, -2 and -L of a summary against a person's, by the rouge-score package, no stemming."""
    held = _scorer().score(truth, written)
    return Rouge(*(held[name].fmeasure for name in ("rouge1", "rouge2", "rougeL")))


def rouge_l(written: str, truth: str) -> float:
    """Return ROUGE-L alone: quicker."""
    return _scorer("rougeL").score(truth, written)["rougeL"].fmeasure


def novelty(written: str, source: str) -> float:
    """Return the share of a summary's words that its document has not; 0 for an empty one."""
    told = bare_words(written)
    known = set(bare_words(source))
    return sum(word not in known for word in told) / len(told) if told else 0.0


def bare_words(text: str) -> list[str]:
    """Return the words of ``text`` as ROUGE sees them."""
    return re.findall(r"[a-z0-9]+", text.lower())


@functools.cache
def _scorer(*names: str) -> RougeScorer:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(names) or ["rouge1", "rouge2", "rougeL"])


def judge_summaries(outputs: Tensor, examples: Examples) -> Tensor:
    """Return the mean ROUGE-L of summaries (n, t), as sub-words, against those of ``examples``."""
    return measures(outputs, examples)[0]


def summary_scores(outputs: Tensor, examples: Examples) -> dict[str, float]:
    """Return :func:`measures` by name, ROUGE-L first."""
    return dict(zip(MEASURES, measures(outputs, examples).tolist(), strict=True))


def measures(outputs: Tensor, examples: Examples) -> Tensor:
    """Return the means of :data:`MEASURES` over the summaries ``outputs`` (n, t) of ``examples``."""
    words, rows = vocabulary("documents"), []
    for written, truth, x in zip(
        outputs.tolist(), examples.y.tolist(), examples.x.long().tolist(), strict=True
    ):
        text = words.decode(written)
        source = words.decode([number for number in x if number != PAD])
        true = words.decode(truth)
        one, two, longest = rouge(text, true)
        length = len(bare_words(text)) / max(1, len(bare_words(true)))
        rows.append([longest, one, two, novelty(text, source), length])
    return torch.tensor(rows).mean(0)
