"""Embedded speech: made-up words in made-up voices, spoken by our own synthesiser; no word or voice in two
splits."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import torch

from metalab.data.phonemes import made_up_words, sounds
from metalab.data.pool import PoolSource
from metalab.data.sounds import FRAMES, MELS, word_picture
from metalab.data.voices import disturbed, draw_voice, speak
from metalab.errors import StorageError
from metalab.storage import atomic_write, home
from metalab.tasks import SPLITS, Split

WORDS: dict[Split, int] = {"train": 400, "validation": 50, "test": 80}
CLIPS = 16
"""Recordings of a word, each by another voice."""
SEED = 2026
VERSION = 1
"""Raised when the synthesiser changes, so that kept pictures are not mistaken for new ones."""


def spoken(device: torch.device | str = "cpu") -> PoolSource:
    """Return the embedded words as a source; spoken once, some two minutes, then kept in metalab's cache."""
    names = spoken_words()
    pictures = np.concatenate([_pictures(split, names[split]) for split in SPLITS])
    all_names = [name for split in SPLITS for name in names[split]]
    groups, first = {}, 0
    for split in SPLITS:
        groups[split] = {"words": list(range(first, first + WORDS[split]))}
        first += WORDS[split]
    images = torch.from_numpy(pictures).float().div_(255).unsqueeze(1).to(device)
    labels = torch.arange(len(all_names), device=device).repeat_interleave(CLIPS)
    return PoolSource("spoken", images, labels, all_names, groups)


def spoken_words() -> dict[Split, list[str]]:
    """Return the words of each split, as phonemes."""
    words = made_up_words(sum(WORDS.values()), SEED)
    held, first = {}, 0
    for split in SPLITS:
        held[split] = words[first : first + WORDS[split]]
        first += WORDS[split]
    return held


def clip(split: Split, number: int, word: str, take: int) -> np.ndarray:
    """Return recording ``take`` of the ``number``-th word of ``split``: samples as a microphone hears them.

    Every other one is clean. The voice depends on split, word and take, and is no other clip's.
    """
    rng = np.random.default_rng([SEED, SPLITS.index(split), number, take])
    sound = speak(sounds(word), draw_voice(rng), rng)
    return disturbed(sound, rng) if take % 4 else sound


def _pictures(split: Split, words: list[str]) -> np.ndarray:
    """Return (words * CLIPS, MELS, FRAMES) uint8."""
    path = home() / "cache" / f"spoken-{split}-{VERSION}-{len(words)}-{CLIPS}.npy"
    shape = (len(words) * CLIPS, MELS, FRAMES)
    with contextlib.suppress(OSError, ValueError):  # a broken cache is made anew
        held = np.load(path, allow_pickle=False)
        if held.shape == shape and held.dtype == np.uint8:
            return held
    made = np.empty(shape, dtype=np.uint8)
    for number, word in enumerate(words):
        for take in range(CLIPS):
            picture = word_picture(clip(split, number, word, take))[0]
            made[number * CLIPS + take] = (picture * 255).round().to(torch.uint8).numpy()
    kept = io.BytesIO()
    np.save(kept, made, allow_pickle=False)
    with contextlib.suppress(StorageError):  # a cache that cannot be written is no error
        atomic_write(path, kept.getvalue())
    return made
