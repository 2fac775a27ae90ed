"""Step 1 for speech: recordings read from files, and words as pictures of their mel spectrum."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.data.archives import read_one
from metalab.data.voices import RATE
from metalab.errors import DataError

Sound = bytes | str | Path | np.ndarray | tuple[np.ndarray, int]
"""A recording as a user gives it."""
ENDINGS = {".wav", ".flac", ".ogg", ".mp3", ".oga", ".aiff", ".aif"}
LONGEST, SHORTEST = 60.0, 0.06
"""Seconds of a recording."""
BYTES = 60_000_000
MELS, FRAMES = 64, 64
"""Rows and columns of a picture: bands from :data:`LOWEST` to :data:`HIGHEST` Hz, and moments of the word."""
LOWEST, HIGHEST = 60.0, 7600.0
WINDOW, HOP = 400, 160
"""Samples of a frame, and from one to the next: 25 and 10 ms."""
DEPTH = 60.0
"""Decibels below the loudest that are told apart."""
SILENT = 32.0
"""Decibels below the loudest frame that count as silence around a word."""
QUIET = 1e-4
"""Largest amplitude of what is silence altogether."""


def read_sound(content: bytes | Path | str, where: str = "") -> np.ndarray:
    """Return a recording as float32 samples (n,) at :data:`RATE`: channels are averaged, rates converted.

    WAV, FLAC, OGG and MP3, told by their content. Raises :class:`DataError` for what is no sound, silent, or
    shorter or longer than :data:`SHORTEST` and :data:`LONGEST`.
    """
    import soundfile

    if not isinstance(content, bytes):
        where, content = where or str(content), read_one(Path(content), BYTES)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            seconds = file.frames / file.samplerate
            if seconds > LONGEST:
                raise DataError(
                    f"{seconds:.0f} s long, at most {LONGEST:.0f} s are read",
                    where=where,
                    fix="Cut it to the words",
                )
            samples = file.read(dtype="float32", always_2d=True).mean(1)
            rate = file.samplerate
    except soundfile.SoundFileError as error:
        raise DataError(
            f"not a recording ({str(error).rpartition(': ')[2].rstrip('.')})",
            where=where,
            fix="Give WAV, FLAC, OGG or MP3",
        ) from None
    return checked(samples, rate, where)


def checked(samples: np.ndarray, rate: int, where: str) -> np.ndarray:
    """Return mono ``samples`` at :data:`RATE`. Raises :class:`DataError` as :func:`read_sound`."""
    if len(samples) < SHORTEST * rate:
        raise DataError(
            f"{1000 * len(samples) / rate:.0f} ms long, at least {1000 * SHORTEST:.0f} ms are needed",
            where=where,
            fix="Record the whole word",
        )
    if not np.isfinite(samples).all():
        raise DataError("samples are not finite", where=where, fix="Save it anew as WAV")
    if np.abs(samples - samples.mean()).max() < QUIET:
        raise DataError("is silent", where=where, fix="Check the microphone and record again")
    if rate != RATE:
        from scipy.signal import resample_poly

        common = math.gcd(rate, RATE)
        samples = resample_poly(samples, RATE // common, rate // common)
    return np.ascontiguousarray(samples, dtype=np.float32)


def clipped(samples: np.ndarray) -> float:
    """Return the share of samples at the very largest amplitude: above about 1 % it is overdriven."""
    loudest = np.abs(samples).max()
    return float((np.abs(samples) >= 0.999 * loudest).mean()) if loudest >= 0.98 else 0.0


def mel_spectrum(samples: Tensor) -> Tensor:
    """Return decibels (MELS, frames) of ``samples`` (n,), 0 the loudest, :data:`DEPTH` below it the least."""
    padded = F.pad(samples, (WINDOW // 2, WINDOW // 2 + HOP))
    window = torch.hann_window(WINDOW, device=samples.device)
    power = torch.stft(padded, 512, HOP, WINDOW, window, center=False, return_complex=True).abs().square()
    level = 10 * (_filters().to(samples.device) @ power).clamp(min=1e-12).log10()
    return (level - level.max()).clamp(min=-DEPTH)


def word_picture(samples: np.ndarray | Tensor) -> Tensor:
    """Return a word (1, MELS, FRAMES) in 0..1: without silence around it, stretched to :data:`FRAMES`
    moments, high bands above, about 0.5 in the mean."""
    level = mel_spectrum(torch.as_tensor(samples, dtype=torch.float32))
    heard = (10 ** (level / 10)).sum(0).clamp(min=1e-9).log10() * 10
    kept = (heard > heard.max() - SILENT).nonzero().flatten()
    first, last = max(0, int(kept[0]) - 1), min(level.shape[1], int(kept[-1]) + 2)
    word = F.interpolate(level[None, :, first:last], size=FRAMES, mode="linear", align_corners=False)
    word = (word - word.mean()) / word.std().clamp(min=1)
    return (0.5 + word / 6).clamp(0, 1).flip(1)


def as_pictures(items: Sequence[Sound], where: str = "recordings") -> Tensor:
    """Return recordings (n, 1, MELS, FRAMES): paths, contents of files, samples at :data:`RATE`, or pairs of
    samples and their rate. Raises :class:`DataError`."""
    return torch.stack(
        [word_picture(read_recording(item, f"{where}[{at}]")) for at, item in enumerate(items)]
    )


def read_recording(item: Sound, where: str) -> np.ndarray:
    """Return samples at :data:`RATE` of a recording as a user gives it. Raises :class:`DataError`."""
    if isinstance(item, bytes | str | Path):
        return read_sound(item, where if isinstance(item, bytes) else "")
    samples, rate = item if isinstance(item, tuple) else (item, RATE)
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype.kind not in "fiu":
        raise DataError(
            f"has shape {samples.shape}",
            where=where,
            fix="Give one channel of samples (n,), or a file's path",
        )
    if samples.dtype.kind != "f":
        samples = samples / np.iinfo(samples.dtype).max
    return checked(samples, int(rate), where)


def _filters() -> Tensor:
    """Return triangular bands (MELS, bins), equally wide in mel (Stevens et al. 1937)."""

    def mel(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    edges = torch.linspace(mel(LOWEST), mel(HIGHEST), MELS + 2)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    bins = torch.linspace(0, RATE / 2, 257)
    up = (bins - hertz[:-2, None]) / (hertz[1:-1] - hertz[:-2])[:, None]
    down = (hertz[2:, None] - bins) / (hertz[2:] - hertz[1:-1])[:, None]
    return torch.minimum(up, down).clamp(min=0)
