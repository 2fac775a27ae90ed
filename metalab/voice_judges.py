"""Two small judges of synthetic speech, trained on true speech of meta-train voices: who speaks, and what.

Both are linear discriminant analyses, and know nothing of the acoustic model or of the hypernetwork.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from metalab.data.acoustics import BANDS
from metalab.data.utterances import NUMBERS, Utterances

AROUND = (-6, -3, 0, 3, 6)
"""Frames around a phoneme's middle that tell which it is."""


@dataclass(frozen=True)
class Judges:
    """``who`` projects statistics of an utterance so that voices part, ``centre`` the mean of all voices;
    ``what`` tells phonemes."""

    who: Any
    centre: np.ndarray
    what: Any

    def similarity(self, made: np.ndarray, true: Sequence[np.ndarray]) -> float:
        """Return the cosine, -1 to 1, of frames ``made`` and the mean of ``true`` utterances of a voice."""
        own, others = (
            self.who.transform(np.stack([_statistics(one) for one in part])).mean(0) - self.centre
            for part in ([made], true)
        )
        return float(own @ others / max(1e-9, np.linalg.norm(own) * np.linalg.norm(others)))

    def right(self, made: np.ndarray, phonemes: Sequence[str], lasting: np.ndarray) -> float:
        """Return the share of ``phonemes``, lasting so many frames each in ``made``, that are recognised."""
        found = self.what.predict(_middles(made, lasting))
        return float((found == [NUMBERS[name] for name in phonemes]).mean())


def trained_judges(train: Utterances, takes: int = 8) -> Judges:
    """Return judges trained on ``takes`` utterances of each voice."""
    statistics, voices, middles, names = [], [], [], []
    for voice in range(len(train.frames)):
        for take in range(takes):
            length = int(train.lengths[voice, take])
            frames = train.frames[voice, take, :length].numpy()
            heard = train.phonemes[voice, take] > 0
            statistics.append(_statistics(frames))
            voices.append(voice)
            middles.append(_middles(frames, train.lasting[voice, take][heard].numpy()))
            names.append(train.phonemes[voice, take][heard].numpy())
    who = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1, n_components=24)
    projected = who.fit(np.stack(statistics), voices).transform(np.stack(statistics))
    what = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.01)
    what.fit(np.concatenate(middles), np.concatenate(names))
    return Judges(who, projected.mean(0), what)


def _statistics(frames: np.ndarray) -> np.ndarray:
    """Return mean and deviation of voiced frames and mean of the others' bands (3 * BANDS + 4,)."""
    voiced = frames[:, BANDS + 1] > 0.5
    bands = frames[:, : BANDS + 1]
    heard, hissed = (bands[rows] if rows.sum() > 2 else bands for rows in (voiced, ~voiced))
    return np.concatenate([heard.mean(0), heard.std(0), hissed.mean(0)])


def _middles(frames: np.ndarray, lasting: np.ndarray) -> np.ndarray:
    """Return what is around the middle of each phoneme (p, len(AROUND) * BANDS)."""
    middle = np.cumsum(lasting) - (np.asarray(lasting) + 1) // 2
    at = (middle[:, None] + np.array(AROUND)).clip(0, len(frames) - 1)
    bands = frames[:, :BANDS]
    return (bands - bands.mean())[at].reshape(len(middle), -1)
