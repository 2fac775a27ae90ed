"""How near synthetic speech is to the true voice.

Mel-cepstral distortion (Kubichek 1993) along the best alignment in time, error and correlation of pitch on
that alignment.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.fft import dct

from metalab.data.acoustics import BANDS

CEPSTRA = 13
"""Mel-cepstral coefficients compared; the one of loudness is left out."""
DECIBELS = 10 / math.log(10) * math.sqrt(2)


def cepstra(bands: np.ndarray) -> np.ndarray:
    """Return mel-cepstral coefficients 1 to :data:`CEPSTRA` (n, CEPSTRA) of log ``bands`` (n, BANDS)."""
    return dct(bands[:, :BANDS] / 2, axis=1, norm="ortho")[:, 1 : CEPSTRA + 1] * math.sqrt(2 / BANDS)


def aligned(distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the cheapest monotonous path through ``distance`` (n, m), dynamic time
    warping by anti-diagonals (Sakoe and Chiba 1978)."""
    n, m = distance.shape
    cost = np.full((n + 1, m + 1), np.inf)
    cost[0, 0] = 0
    for total in range(2, n + m + 1):
        i = np.arange(max(1, total - m), min(n, total - 1) + 1)
        j = total - i
        best = np.minimum(np.minimum(cost[i - 1, j], cost[i, j - 1]), cost[i - 1, j - 1])
        cost[i, j] = distance[i - 1, j - 1] + best
    i, j, path = n, m, []
    while i > 0 and j > 0:
        path.append((i - 1, j - 1))
        steps = ((cost[i - 1, j - 1], i - 1, j - 1), (cost[i - 1, j], i - 1, j), (cost[i, j - 1], i, j - 1))
        _, i, j = min(steps)
    rows, columns = np.array(path[::-1]).T
    return rows, columns


def compared(made: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Compare frames ``made`` (n, BANDS + 2) with those of the true voice (m, BANDS + 2).

    ``mcd`` in dB; ``pitch`` root mean square error in semitones, and ``melody`` correlation of the pitch,
    where both are voiced (NaN where too little is); ``length``, how much longer, as a share.
    """
    ours, theirs = cepstra(made), cepstra(true)
    distance = np.sqrt(
        np.maximum(
            (ours**2).sum(1)[:, None] + (theirs**2).sum(1) - 2 * ours @ theirs.T,
            0,
        )
    )
    rows, columns = aligned(distance)
    both = (made[rows, BANDS + 1] > 0.5) & (true[columns, BANDS + 1] > 0.5)
    mine, yours = made[rows, BANDS][both], true[columns, BANDS][both]
    enough = both.sum() > 10
    moving = enough and mine.std() > 1e-4 and yours.std() > 1e-4
    return {
        "mcd": float(DECIBELS * distance[rows, columns].mean()),
        "pitch": float(12 * np.sqrt(((mine - yours) ** 2).mean())) if enough else math.nan,
        "melody": float(np.corrcoef(mine, yours)[0, 1]) if moving else math.nan,
        "length": float(len(made) / len(true) - 1),
    }
