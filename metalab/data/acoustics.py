"""Step 1 of synthesis: a recording as frames of log mel bands, pitch and voicing.

Pitch is the lag of the largest normalised autocorrelation (Boersma 1993), searched from short lags on.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy.ndimage import median_filter
from scipy.signal import get_window

from metalab.data.voices import RATE

HOP, WINDOW, BINS = 160, 400, 1024
"""Samples from one frame to the next (10 ms), of a frame, and of its zero-padded transform."""
BANDS = 80
LOWEST, HIGHEST = 60.0, 7600.0
"""Hz of the bands' edges."""
FLOOR = -13.0
"""Least natural logarithm of a band's power, of speech whose loudest frames are about 0."""
LOWEST_PITCH, HIGHEST_PITCH = 65.0, 450.0
VOICED = 0.5
"""Least normalised autocorrelation of a voiced frame."""
SPAN = 640
"""Samples that the pitch of a frame is told from: 40 ms."""


def frames_of(samples: np.ndarray) -> int:
    """Return how many frames ``samples`` (n,) have."""
    return max(1, len(samples) // HOP)


@functools.cache
def filters() -> np.ndarray:
    """Return triangular bands (BANDS, BINS // 2 + 1) of unit sum, equally wide in mel."""
    edges = np.linspace(_mel(LOWEST), _mel(HIGHEST), BANDS + 2)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    bins = np.linspace(0, RATE / 2, BINS // 2 + 1)
    up = (bins - hertz[:-2, None]) / (hertz[1:-1] - hertz[:-2])[:, None]
    down = (hertz[2:, None] - bins) / (hertz[2:] - hertz[1:-1])[:, None]
    bands = np.maximum(0, np.minimum(up, down))
    return bands / bands.sum(1, keepdims=True)


def centres() -> np.ndarray:
    """Return the middle (BANDS,) of each band in Hz."""
    return 700 * (10 ** (np.linspace(_mel(LOWEST), _mel(HIGHEST), BANDS + 2)[1:-1] / 2595) - 1)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Return log power (frames, BANDS) float32 of ``samples`` (n,), not normalised."""
    window = get_window("hann", WINDOW)
    power = np.abs(np.fft.rfft(_cut(samples, WINDOW) * window, BINS)) ** 2 / window.sum() ** 2
    return np.log(np.maximum(power @ filters().T, 1e-12)).astype(np.float32)


def levelled(mel: np.ndarray) -> np.ndarray:
    """Return log bands shifted so that the loud frames' mean power is 0, not below :data:`FLOOR`."""
    loud = np.quantile(np.logaddexp.reduce(mel, axis=1), 0.9) - math.log(BANDS) + 2
    return np.maximum(mel - loud, FLOOR).astype(np.float32)


def pitch(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Hz (frames,), interpolated where there is no voice, and whether a frame is voiced (frames,)."""
    cut = _cut(samples, SPAN)
    cut = cut - cut.mean(1, keepdims=True)
    window = get_window("hann", SPAN)
    shape = np.fft.irfft(np.abs(np.fft.rfft(window, 2048)) ** 2)[:SPAN]
    found = np.fft.irfft(np.abs(np.fft.rfft(cut * window, 2048)) ** 2)[:, :SPAN]
    energy = found[:, :1]
    found = found / np.maximum(energy, 1e-9) / np.maximum(shape / shape[0], 0.05)
    first, last = int(RATE / HIGHEST_PITCH), int(RATE / LOWEST_PITCH)
    within = found[:, first:last]
    peak = np.zeros_like(within, dtype=bool)
    peak[:, 1:-1] = (within[:, 1:-1] >= within[:, :-2]) & (within[:, 1:-1] > within[:, 2:])
    best = np.where(peak, within, -1).max(1)
    lag = (peak & (within >= 0.9 * best[:, None])).argmax(1) + first
    at = np.arange(len(lag))
    left, middle, right = found[at, lag - 1], found[at, lag], found[at, lag + 1]
    bend = left - 2 * middle + right
    exact = lag + np.where(np.abs(bend) > 1e-9, 0.5 * (left - right) / np.where(bend == 0, 1, bend), 0)
    voiced = (best > VOICED) & (energy[:, 0] > 1e-4 * energy.max())
    voiced = median_filter(voiced.astype(np.uint8), 5).astype(bool)
    if not voiced.any():
        return np.full(len(lag), 150.0), voiced
    hertz = np.interp(at, at[voiced], median_filter((RATE / exact)[voiced], 5))
    return hertz.clip(LOWEST_PITCH, HIGHEST_PITCH), voiced


def described(samples: np.ndarray) -> np.ndarray:
    """Return frames (n, BANDS + 2) float32 of ``samples``: levelled log bands, octaves of the pitch above 100
    Hz, and 1 where voiced."""
    hertz, voiced = pitch(samples)
    rows = [levelled(log_mel(samples)), np.log2(hertz / 100)[:, None], voiced[:, None]]
    return np.concatenate(rows, axis=1).astype(np.float32)


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def _cut(samples: np.ndarray, span: int) -> np.ndarray:
    """Return (frames, span), each frame centred on the middle of its hop."""
    before = (span - HOP) // 2
    padded = np.pad(np.asarray(samples, dtype=np.float64), (before, span + HOP))
    starts = np.arange(frames_of(samples)) * HOP
    return np.lib.stride_tricks.sliding_window_view(padded, span)[starts]
