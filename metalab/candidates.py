"""Candidate texts of several texts at once, as tensors, and texts from tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metalab.data.pairs import TARGET_LENGTH, Pair, target_ids
from metalab.data.subwords import PAD, Vocabulary
from metalab.tasks import Examples


class Candidates(NamedTuple):
    """Candidates of n texts: ``ids`` (n, C, TARGET_LENGTH), ``features`` (n, C, columns), ``gains`` (n, C),
    the measure of each, 0 where the truth is unknown, ``mask`` (n, C): not padding."""

    ids: Tensor
    features: Tensor
    gains: Tensor
    mask: Tensor


def stacked(
    texts: Sequence[Sequence[str]],
    features: Sequence[np.ndarray],
    truths: Sequence[str] | None,
    measure: Callable[[str, str], float],
    words: Vocabulary,
    device: torch.device,
) -> Candidates:
    """Return the candidates ``texts`` with their ``features`` (candidates, columns), padded to one number.

    ``measure(candidate, truth)`` gives the gains where ``truths`` are known.
    """
    n, most = len(texts), max(map(len, texts), default=1)
    columns = features[0].shape[1] if len(features) else 0
    described = np.zeros((n, most, columns), dtype=np.float32)
    gains, mask = np.zeros((n, most), dtype=np.float32), np.zeros((n, most), dtype=bool)
    ids = torch.full((n, most, TARGET_LENGTH), PAD)
    for at, own in enumerate(texts):
        described[at, : len(own)], mask[at, : len(own)] = features[at], True
        ids[at, : len(own)] = written_ids(own, words)
        if truths is not None:
            gains[at, : len(own)] = [measure(text, truths[at]) for text in own]
    return Candidates(
        ids.to(device), *(torch.from_numpy(part).to(device) for part in (described, gains, mask))
    )


def written_ids(texts: Sequence[str], words: Vocabulary) -> Tensor:
    """Return texts as outputs (n, TARGET_LENGTH)."""
    held = np.full((len(texts), TARGET_LENGTH), PAD, dtype=np.int64)
    for row, ids in zip(held, words.encode_all(texts), strict=True):
        ids = target_ids(ids)
        row[: len(ids)] = ids
    return torch.from_numpy(held)


def as_pairs(support: Examples, words: Vocabulary) -> list[Pair]:
    """Return the support set as texts."""
    rows = zip(support.x.long().tolist(), support.y.tolist(), strict=True)
    return [Pair(as_text(x, words), words.decode(y)) for x, y in rows]


def as_text(ids: Sequence[int], words: Vocabulary) -> str:
    """Return the text of a row of a source, without padding."""
    return words.decode([number for number in ids if number != PAD])
