"""From mel bands and pitch to sound: harmonics of the pitch and noise, both shaped by the bands.

A sinusoids-plus-noise model (Serra and Smith 1990) whose amplitudes are read off the bands, then corrected
once or twice by the bands that it is found to give.
"""

from __future__ import annotations

import numpy as np

from metalab.data.acoustics import BANDS, HIGHEST, HOP, centres, log_mel
from metalab.data.voices import RATE

CORRECTIONS = 2
NOISY = 3500.0
"""Hz above which a voiced frame is more and more noise."""
LOUDEST = 0.9
_SPAN = 2 * HOP


def sounded(frames: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return float32 samples at 16 kHz of ``frames`` (n, BANDS + 2): log mel bands, octaves of the pitch
    above 100 Hz, and voicing (above 0.5: voiced)."""
    bands = np.asarray(frames[:, :BANDS], dtype=np.float64)
    hertz = 100 * 2.0 ** frames[:, BANDS]
    voiced = (frames[:, BANDS + 1] > 0.5).astype(np.float64)
    voiced = np.convolve(np.pad(voiced, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    aimed, level = bands, bands.copy()
    samples = _rendered(level, hertz, voiced, seed)
    for _ in range(CORRECTIONS):
        got = log_mel(samples)
        level = level + np.clip(aimed - got, -3, 3) * (aimed > aimed.max() - 12)
        samples = _rendered(level, hertz, voiced, seed)
    return (samples / max(1e-6, np.abs(samples).max()) * LOUDEST).astype(np.float32)


def _rendered(bands: np.ndarray, hertz: np.ndarray, voiced: np.ndarray, seed: int) -> np.ndarray:
    """Return samples (n * HOP,) whose bands are about those asked for."""
    return _harmonics(bands, hertz, voiced) + _noise(bands, voiced, seed)


def _harmonics(bands: np.ndarray, hertz: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    n = len(bands)
    at = np.minimum((np.arange(n * HOP) + 0.5) / HOP - 0.5, n - 1).clip(0)
    left = at.astype(int)
    right, share = np.minimum(left + 1, n - 1), (at - left).astype(np.float32)[:, None]
    tone = 2 * np.pi * np.cumsum(np.interp(at, np.arange(n), hertz)) / RATE
    order = np.arange(1, int(HIGHEST / hertz.min()) + 1)
    frequency = hertz[:, None] * order
    level = _at(bands, frequency)
    # a band of unit sum holds the power of one harmonic, spread over those that it is wide
    amplitude = 2 * np.exp(level / 2) * np.sqrt(voiced[:, None] * _tonal(frequency))
    amplitude = np.where(frequency < HIGHEST, amplitude, 0).astype(np.float32)
    sound = np.zeros(n * HOP, np.float32)
    for first in range(0, len(order), 16):
        part = amplitude[:, first : first + 16]
        strength = part[left] * (1 - share) + part[right] * share
        phase = (tone[:, None] * order[first : first + 16]) % (2 * np.pi)
        sound += (strength * np.sin(phase.astype(np.float32))).sum(1)
    return sound


def _noise(bands: np.ndarray, voiced: np.ndarray, seed: int) -> np.ndarray:
    n = len(bands)
    heard = np.fft.rfftfreq(_SPAN, 1 / RATE)[None].repeat(n, 0)
    power = np.exp(_at(bands, heard)) * (1 - voiced[:, None] * _tonal(heard))
    power[(heard < 40) | (heard > HIGHEST + 300)] = 0
    white = np.random.default_rng(seed).normal(0, 1, (n, _SPAN))
    pieces = np.fft.irfft(np.fft.rfft(white) * np.sqrt(power), _SPAN) * np.hanning(_SPAN + 1)[:-1]
    pieces *= 8  # noise of unit power spreads over the window's bins
    sound = np.zeros((n + 1) * HOP)
    for half in (0, 1):
        sound[half * HOP : (half + n) * HOP] += pieces[:, half * HOP : (half + 1) * HOP].ravel()
    return sound[HOP // 2 : HOP // 2 + n * HOP]


def _tonal(frequency: np.ndarray) -> np.ndarray:
    """Return the share of a voiced frame's power at ``frequency`` Hz that is tone."""
    return np.clip(1.2 - frequency / NOISY / 2, 0.3, 1)


def _at(bands: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return log power (n, m) of ``bands`` (n, BANDS) at ``frequency`` (n, m) Hz, between bands linearly."""
    middles = centres()
    place = np.interp(frequency, middles, np.arange(BANDS))
    low = np.minimum(place.astype(int), BANDS - 2)
    share, rows = place - low, np.arange(len(bands))[:, None]
    return bands[rows, low] * (1 - share) + bands[rows, low + 1] * share
