"""Embedded voices: short utterances of made-up words, spoken by our own synthesiser.

A task is a voice. No voice and no word, so no sentence, is in two splits. Every utterance comes with its
phonemes and how many frames each lasts.
"""

from __future__ import annotations

import contextlib
import functools
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metalab.data.acoustics import BANDS, FLOOR, HOP, described, frames_of
from metalab.data.phonemes import BURSTS, GLIDES, HISSES, SONORANTS, VOWELS, Sound, made_up_words, sounds
from metalab.data.voices import STEP, Voice, draw_voice, speak_timed
from metalab.errors import StorageError
from metalab.storage import atomic_write, home
from metalab.tasks import SPLITS, Split

PAUSE = "_"
PHONEMES = (PAUSE, *VOWELS, *GLIDES, *SONORANTS, *HISSES, *BURSTS, "tS", "dZ")
NUMBERS = {name: number for number, name in enumerate(PHONEMES, 1)}
"""Numbers of phonemes; 0 is padding."""
VOICES: dict[Split, int] = {"train": 240, "validation": 30, "test": 120}
TAKES: dict[Split, int] = {"train": 16, "validation": 24, "test": 24}
"""Utterances of each voice."""
WORDS: dict[Split, int] = {"train": 600, "validation": 80, "test": 120}
FRAMES, MOST = 224, 32
"""Frames (10 ms) and phonemes of an utterance, at most."""
SECONDS = 1.5
"""About how long an utterance is."""
SEED, VERSION = 909, 1
TOP = 4.0
"""Greatest level of a band, in natural logarithms, that is kept."""
_SILENCE = Sound((500, 1500, 2500), 60, 0.0)


@dataclass(frozen=True)
class Utterances:
    """Utterances of voices: ``frames`` (voices, takes, FRAMES, BANDS + 2) as
    :func:`~metalab.data.acoustics.described`, ``phonemes`` (voices, takes, MOST) int64, 0 padding, and
    ``lasting`` (voices, takes, MOST) int64, frames of each."""

    frames: Tensor
    phonemes: Tensor
    lasting: Tensor

    def of(self, voices: Tensor, takes: Tensor) -> Utterances:
        """Return those at ``voices`` (n, 1), ``takes`` (n, k)."""
        return Utterances(*(part[voices, takes] for part in (self.frames, self.phonemes, self.lasting)))

    @property
    def lengths(self) -> Tensor:
        """Frames (voices, takes) that are no padding."""
        return self.lasting.sum(-1)


def said(phonemes: Sequence[str], voice: Voice, rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """Return samples of ``phonemes`` (:data:`PAUSE` among them) in ``voice``, and frames of each."""
    parts = [[_SILENCE] if name == PAUSE else sounds(name) for name in phonemes]
    samples, steps = speak_timed([one for part in parts for one in part], voice, rng)
    ends = np.cumsum([len(part) for part in parts])
    at = np.round(np.cumsum(steps)[ends - 1] * STEP / HOP).astype(int)
    at = np.minimum(at, frames_of(samples))
    at[-1] = frames_of(samples)
    return samples, np.diff(at, prepend=0).tolist()


def sentence(words: Sequence[str], speed: float, rng: np.random.Generator) -> list[str]:
    """Return phonemes of random ``words`` that ``speed`` says in about :data:`SECONDS`."""
    found, lasts = [PAUSE], 0.0
    while lasts < SECONDS:
        word = words[rng.integers(len(words))].split()
        lasts += sum(one.duration for one in sounds(" ".join(word))) / speed / 1000
        if len(found) + len(word) + 1 > MOST or lasts * 1000 / 10 > 0.85 * FRAMES:
            break
        found += [*word, PAUSE]
    return found


def take(split: Split, number: int, which: int) -> tuple[np.ndarray, list[str], list[int]]:
    """Return samples, phonemes and their frames of utterance ``which`` of voice ``number`` of ``split``."""
    voice = draw_voice(np.random.default_rng([SEED, SPLITS.index(split), number]))
    rng = np.random.default_rng([SEED, SPLITS.index(split), number, which])
    words = utterance_words()[split]
    while True:
        phonemes = sentence(words, voice.speed, rng)
        samples, lasting = said(phonemes, voice, rng)
        if len(phonemes) > 2 and sum(lasting) <= FRAMES:
            return samples, phonemes, lasting


@functools.cache
def utterance_words() -> dict[Split, list[str]]:
    """Return the words of each split, as phonemes."""
    words, held = iter(made_up_words(sum(WORDS.values()), SEED)), {}
    for split in SPLITS:
        held[split] = [next(words) for _ in range(WORDS[split])]
    return held


def utterances(split: Split) -> Utterances:
    """Return the embedded utterances; spoken once, a minute or two, then kept in metalab's cache."""
    voices, takes = VOICES[split], TAKES[split]
    path = home() / "cache" / f"utterances-{split}-{VERSION}-{voices}-{takes}.npz"
    broken = (OSError, ValueError, KeyError, zipfile.BadZipFile)
    with contextlib.suppress(*broken), np.load(path, allow_pickle=False) as held:  # if broken, made anew
        return _opened(*(held[name] for name in ("bands", "melody", "phonemes", "lasting")))
    bands = np.zeros((voices, takes, FRAMES, BANDS), np.uint8)
    melody = np.zeros((voices, takes, FRAMES, 2), np.float16)
    phonemes = np.zeros((voices, takes, MOST), np.int64)
    lasting = np.zeros((voices, takes, MOST), np.int64)
    for at in np.ndindex(voices, takes):
        samples, names, frames = take(split, *at)
        seen = described(samples)
        level = (seen[:, :BANDS].clip(FLOOR, TOP) - FLOOR) / (TOP - FLOOR)
        bands[at][: len(seen)] = np.round(255 * level)
        melody[at][: len(seen)] = seen[:, BANDS:]
        phonemes[at][: len(names)] = [NUMBERS[name] for name in names]
        lasting[at][: len(names)] = frames
    kept = io.BytesIO()
    np.savez(kept, bands=bands, melody=melody, phonemes=phonemes, lasting=lasting)
    with contextlib.suppress(StorageError):  # a cache that cannot be written is no error
        atomic_write(path, kept.getvalue())
    return _opened(bands, melody, phonemes, lasting)


def _opened(bands: np.ndarray, melody: np.ndarray, phonemes: np.ndarray, lasting: np.ndarray) -> Utterances:
    level = torch.from_numpy(bands).float() / 255 * (TOP - FLOOR) + FLOOR
    frames = torch.cat([level, torch.from_numpy(melody).float()], dim=-1)
    return Utterances(frames, torch.from_numpy(phonemes), torch.from_numpy(lasting))
