"""How good a translation is: chrF (Popović 2015) by sacrebleu, exact match, placeholders kept."""

from __future__ import annotations

import functools
import unicodedata
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metalab.data.placeholders import unbalanced
from metalab.data.subwords import PAD, vocabulary
from metalab.tasks import Examples

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU, CHRF


def chrf(written: str, truth: str) -> float:
    """Return the F-score, in 0..1, of the character n-grams (1 to 6) of one text, recall weighing double."""
    return _metrics()[0].sentence_score(written, [truth]).score / 100


def judge_translations(outputs: Tensor, examples: Examples) -> Tensor:
    """Return the mean chrF of translations (n, t), as sub-words, against those of ``examples``."""
    return torch.tensor([chrf(written, truth) for _, written, truth in texts(outputs, examples)]).mean()


def translation_scores(outputs: Tensor, examples: Examples) -> dict[str, float]:
    """Return the means of chrF, share of exactly right ones (without case), BLEU of all
    together, share with just the placeholders of the source."""
    held = list(texts(outputs, examples))
    bleu = _metrics()[1].corpus_score([one for _, one, _ in held], [[truth for *_, truth in held]]).score
    return {
        "chrF": sum(chrf(written, truth) for _, written, truth in held) / len(held),
        "exact match": sum(_same(written, truth) for _, written, truth in held) / len(held),
        "BLEU": bleu / 100,
        "placeholders kept": sum(not unbalanced(source, one) for source, one, _ in held) / len(held),
    }


def texts(outputs: Tensor, examples: Examples) -> list[tuple[str, str, str]]:
    """Return source, what was written, and the truth, as texts."""
    words = vocabulary("languages")
    rows = zip(examples.x.long().tolist(), outputs.tolist(), examples.y.tolist(), strict=True)
    return [
        (words.decode([number for number in x if number != PAD]), words.decode(out), words.decode(y))
        for x, out, y in rows
    ]


def _same(written: str, truth: str) -> bool:
    return unicodedata.normalize("NFC", written).casefold() == truth.casefold()


@functools.cache
def _metrics() -> tuple[CHRF, BLEU]:
    from sacrebleu.metrics import BLEU, CHRF

    return CHRF(), BLEU(effective_order=True)
