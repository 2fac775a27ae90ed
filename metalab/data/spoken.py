"""Embedded speech: made-up words in made-up voices, spoken by our own synthesiser; no word or voice in two
splits."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.data.phonemes import made_up_words, sounds
from metalab.data.pool import PoolSource
from metalab.data.sounds import FRAMES, MELS, word_picture
from metalab.data.voices import disturbed, draw_voice, speak
from metalab.errors import StorageError
from metalab.storage import atomic_write, home
from metalab.tasks import SPLITS, Examples, Split, TaskBatch, TaskShape

WORDS: dict[Split, int] = {"train": 400, "validation": 50, "test": 80}
CLIPS = 16
"""Recordings of a word, each by another voice."""
SEED = 2026
VERSION = 1
"""Raised when the synthesiser changes, so that kept pictures are not mistaken for new ones."""


class SpokenSource(PoolSource):
    """Embedded words; in meta-train each time a little other: shifted, stretched, with bands and moments
    missing (SpecAugment, Park et al. 2019), louder noise."""

    def labelled_batch(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` meta-train pictures with class numbers (n,)."""
        images, labels = super().labelled_batch(n, generator)
        return varied(images, generator), labels

    def sample(self, n_tasks: int, split: Split, shape: TaskShape, generator: torch.Generator) -> TaskBatch:
        """Draw tasks, as :meth:`PoolSource.sample`."""
        batch = super().sample(n_tasks, split, shape, generator)
        if split != "train":
            return batch
        support, query = (
            Examples(varied(part.x.flatten(0, 1), generator).view_as(part.x), part.y)
            for part in (batch.support, batch.query)
        )
        return TaskBatch(support, query, batch.way, batch.classes)


def varied(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Return ``pictures`` (n, 1, bands, moments) as other voices in other rooms might give them."""
    n, _, bands, moments = pictures.shape
    device = pictures.device

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, device=device, generator=generator)

    grid = torch.zeros(n, 2, 3, device=device)
    grid[:, 0, 0], grid[:, 0, 2] = draw(0.8, 1.15), draw(-0.12, 0.12)  # time
    grid[:, 1, 1], grid[:, 1, 2] = draw(0.92, 1.06), draw(-0.08, 0.08)  # bands: a shorter, a longer tract
    places = F.affine_grid(grid, list(pictures.shape), align_corners=False)
    x = F.grid_sample(pictures, places, padding_mode="border", align_corners=False)
    slope = draw(-0.1, 0.1, 1, 1, 1) * torch.linspace(-1, 1, bands, device=device)[:, None]
    x = (x - 0.5) * draw(0.75, 1.25, 1, 1, 1) + 0.5 + slope
    noise = torch.randn(pictures.shape, device=device, generator=generator)
    x = x + noise * draw(0, 0.08, 1, 1, 1)
    for size, most, axis in ((bands, 12, 2), (moments, 12, 3)):
        first, width = draw(0, size, 1, 1, 1), draw(0, most, 1, 1, 1)
        at = torch.arange(size, device=device).view([-1 if place == axis else 1 for place in range(4)])
        x = torch.where((at >= first) & (at < first + width), 0.4, x)
    return x.clamp(0, 1)


def spoken(device: torch.device | str = "cpu") -> SpokenSource:
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
    return SpokenSource("spoken", images, labels, all_names, groups)


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
