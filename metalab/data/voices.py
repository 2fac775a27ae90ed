"""A speaking voice made of harmonics and noise, shaped by formants: an own small synthesiser, free to use.

Parallel source-filter synthesis after Klatt 1980 in the frequency domain: each harmonic of the pitch has the
amplitude that the formants' resonances give it; breath and friction are noise with such a spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import fftconvolve

from metalab.data.phonemes import Sound

RATE = 16_000
"""Samples a second."""
STEP = 80
"""Samples of a frame: 5 ms."""
BANDWIDTHS = (70.0, 100.0, 150.0, 220.0, 300.0)
"""Of the formants, Hz."""


@dataclass(frozen=True)
class Voice:
    """What tells a speaker: mean pitch in Hz, scale of the formants (a shorter tract is higher), speed, how
    steep the spectrum falls, breath, melody in octaves over a word, and shifts of single formants."""

    pitch: float
    scale: float
    speed: float
    tilt: float
    breath: float
    melody: float
    shifts: tuple[float, ...]
    hiss: float


def draw_voice(rng: np.random.Generator) -> Voice:
    """Return a random speaker: men, women, children; hasty and slow, breathy and clear."""
    high = rng.random()
    return Voice(
        pitch=float(85 * 2 ** (1.7 * high) * rng.uniform(0.9, 1.1)),
        scale=float((0.95 + 0.3 * high) * rng.uniform(0.92, 1.08)),
        speed=float(rng.uniform(0.75, 1.4)),
        tilt=float(rng.uniform(0.6, 1.6)),
        breath=float(rng.uniform(0.0, 0.25)),
        melody=float(rng.uniform(-0.5, 0.25)),
        shifts=tuple(rng.normal(0, 0.05, 16)),
        hiss=float(rng.uniform(0.5, 1.6)),
    )


def speak(word: Sequence[Sound], voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Return ``word`` in ``voice``: float32 samples at :data:`RATE`, at most 1; each time a little other."""
    return speak_timed(word, voice, rng)[0]


def speak_timed(
    word: Sequence[Sound], voice: Voice, rng: np.random.Generator
) -> tuple[np.ndarray, list[int]]:
    """Return what :func:`speak` does, and how many frames of :data:`STEP` samples each sound lasts."""
    frames = [max(1, round(one.duration * rng.uniform(0.8, 1.25) / voice.speed / 5)) for one in word]
    frames[-1] = round(frames[-1] * rng.uniform(1.0, 1.5))
    which = np.repeat(np.arange(len(word)), frames)
    wobble = rng.normal(0, 0.03, (len(word), 3))
    formants = np.array([_formants(one, voice) for one in word]) * (1 + wobble)
    tracks = uniform_filter1d(formants[which], 9, axis=0, mode="nearest")
    n = len(which)
    upper = np.array([3600.0, 4600.0]) * voice.scale * (1 + np.array(voice.shifts[3:5]))
    tracks = np.concatenate([tracks, np.broadcast_to(upper, (n, 2))], 1)
    voicing, breath, friction = (
        uniform_filter1d(np.array([getattr(one, name) for one in word])[which], 4, mode="nearest")
        for name in ("voicing", "breath", "friction")
    )
    breath = breath + voice.breath * voicing
    time = np.linspace(0, 1, n)
    pitch = voice.pitch * 2 ** (
        voice.melody * (time - 0.5) + 0.03 * np.cumsum(rng.normal(0, 0.2, n)) / n**0.5
    )
    pitch *= 1 + 0.01 * rng.normal(0, 1, n)
    sound = _harmonics(pitch, tracks, voicing, voice)
    centres = np.array([(one.centre * voice.scale**0.5, one.spread) for one in word])[which]
    sound += _noise(tracks, breath, friction * voice.hiss, centres, len(sound), rng)
    return (sound / max(1e-6, np.abs(sound).max()) * 0.9).astype(np.float32), frames


def disturbed(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return ``sound`` as a microphone in a room hears it: echo, noise, a narrow band, silence around."""
    if rng.random() < 0.4:
        length = int(RATE * rng.uniform(0.05, 0.3))
        echo = rng.normal(0, 1, length) * np.exp(-np.linspace(0, rng.uniform(4, 9), length))
        echo[0] = rng.uniform(6, 20)
        sound = fftconvolve(sound, echo / np.abs(echo[0]))
    spectrum = np.fft.rfft(sound)
    heard = np.linspace(0, RATE / 2, len(spectrum))
    slope = (heard / 1000 + 0.1) ** rng.uniform(-0.5, 0.5)
    low, high = (0, rng.uniform(3300, 4000)) if rng.random() < 0.5 else (0, 8000)
    low = rng.uniform(50, 300) if rng.random() < 0.5 else low
    spectrum = spectrum * slope * ((heard > low) & (heard < high))
    sound = np.fft.irfft(spectrum, len(sound))
    sound = sound / max(1e-6, np.abs(sound).max())
    before, after = (int(RATE * rng.uniform(0.02, 0.2)) for _ in range(2))
    sound = np.pad(sound, (before, after))
    level = 10 ** (-rng.uniform(15, 50) / 20) * sound.std() * 2
    noise = rng.normal(0, 1, len(sound))
    if rng.random() < 0.5:  # darker than white
        noise = uniform_filter1d(noise, int(rng.integers(2, 8)))
    return (sound + level * noise / max(1e-6, noise.std())).astype(np.float32)


def _formants(one: Sound, voice: Voice) -> list[float]:
    number = int(one.formants[0] + one.formants[1]) % 5  # an accent: each vowel has its own shift
    return [
        value * voice.scale * (1 + voice.shifts[at] + voice.shifts[5 + (number + at) % 11])
        for at, value in enumerate(one.formants)
    ]


def _resonance(frequency: np.ndarray, tracks: np.ndarray) -> np.ndarray:
    """Return the amplitude (..., n) at ``frequency`` (n, ...) that five resonances in a row give."""
    gain = np.ones_like(frequency)
    for at, width in enumerate(BANDWIDTHS):
        centre = tracks[:, at, None]
        gain *= centre**2 / np.sqrt((centre**2 - frequency**2) ** 2 + (width * frequency) ** 2)
    return gain


def _harmonics(pitch: np.ndarray, tracks: np.ndarray, voicing: np.ndarray, voice: Voice) -> np.ndarray:
    count = int(min(80, 7500 / pitch.min()))
    order = np.arange(1, count + 1)
    frequency = pitch[:, None] * order
    amplitude = voicing[:, None] * _resonance(frequency, tracks) / order**voice.tilt
    amplitude[frequency > 7500] = 0
    samples = np.arange(len(pitch) * STEP)
    at = samples / STEP
    phase = 2 * np.pi * np.cumsum(np.interp(at, np.arange(len(pitch)), pitch)) / RATE
    left = np.minimum(at.astype(int), len(pitch) - 1)
    right, share = np.minimum(left + 1, len(pitch) - 1), (at - left)[:, None].astype(np.float32)
    amplitude = amplitude.astype(np.float32)
    strength = amplitude[left] * (1 - share) + amplitude[right] * share
    return (strength * np.sin(phase[:, None].astype(np.float32) * order.astype(np.float32))).sum(1)


def _noise(
    tracks: np.ndarray,
    breath: np.ndarray,
    friction: np.ndarray,
    centres: np.ndarray,
    length: int,
    rng: np.random.Generator,
) -> np.ndarray:
    window, n = np.hanning(2 * STEP + 1)[:-1], len(tracks)
    heard = np.fft.rfftfreq(2 * STEP, 1 / RATE)[None].repeat(n, 0)
    heard[:, 0] = 1
    breathed = 0.05 * breath[:, None] * _resonance(heard, tracks)
    hissed = friction[:, None] * np.exp(-0.5 * ((heard - centres[:, :1]) / centres[:, 1:]) ** 2)
    spectrum = np.fft.rfft(rng.normal(0, 1, (n, 2 * STEP))) * (breathed + hissed)
    pieces = np.fft.irfft(spectrum, 2 * STEP) * window
    sound = np.zeros((n + 1) * STEP)
    for half in (0, 1):
        sound[half * STEP : half * STEP + n * STEP] += pieces[:, half * STEP : (half + 1) * STEP].ravel()
    return sound[:length]
