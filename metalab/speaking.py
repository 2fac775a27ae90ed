"""A voice of one's own: a model adapted to recordings of it, that says any text; what it says is tagged."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metalab.checkpoints import SHIPPED, checkpoint_bytes, load_checkpoint
from metalab.data.acoustics import BANDS, described
from metalab.data.archives import Note
from metalab.data.letters import phonemes_of
from metalab.data.sounds import Sound, clipped, read_recording
from metalab.data.utterances import FRAMES, NUMBERS
from metalab.data.voices import RATE
from metalab.errors import CheckpointError, DataError
from metalab.metalearners.base import State
from metalab.metalearners.voice_film import VoiceFiLM
from metalab.vocoder import sounded
from metalab.voice_training import load_voices

TAG = "synthetic speech, metalab"
"""Comment of every file that :func:`tagged_wav` writes."""
LEAST = 0.5
"""Seconds of voiced speech that a voice is told from, at least."""
GAP = 0.2
"""Seconds of pause between clauses; longer silence in a recording is left out."""
DEPTH = 9.0
"""How far below the loudest frame, in natural logarithms of power, silence is."""


@dataclass(frozen=True)
class VoiceModel:
    """A voice: ``state`` of ``model``, None the average voice; ``seconds`` that adapting took; ``notes``
    about the recordings."""

    model: VoiceFiLM
    state: State | None
    seconds: float = 0.0
    notes: tuple[Note, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the adapted voice as a small file that :func:`load_voice` reads; recordings are not in
        it, nor is the shipped model that speaks it."""
        return checkpoint_bytes("voice", self.state or {}, {"model": _told_apart(self.model)})

    def frames(self, phonemes: Sequence[str]) -> np.ndarray:
        """Return frames (n, BANDS + 2) of one clause: log mel bands, octaves of the pitch above 100 Hz, and
        the probability of voice."""
        return told_frames(self.model, self.state, phonemes)[0]

    def say(self, text: str) -> np.ndarray:
        """Return ``text`` spoken: float32 samples at 16 kHz. Raises :class:`DataError` for what cannot be."""
        parts: list[np.ndarray] = []
        for clause in phonemes_of(text):
            parts += [sounded(self.frames(clause)), np.zeros(int(GAP * RATE), np.float32)]
        return np.concatenate(parts[:-1])


@torch.no_grad()
def told_frames(
    model: VoiceFiLM, state: State | None, phonemes: Sequence[str], shifts: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return frames (n, BANDS + 2) of ``phonemes`` and how many each lasts; ``shifts`` (2,) of log durations
    and octaves apply to the average voice, of which ``state`` is None."""
    x = torch.tensor([[NUMBERS[name] for name in phonemes]])
    told = model.backbone(x, shifts=shifts) if state is None else model.tell(state, x)
    found = torch.cat([told.bands[0], told.octaves[0, :, None], told.voicing[0, :, None].sigmoid()], 1)
    return found.numpy(), told.lasting[0].exp().round().clamp(min=1).long().numpy()


def adapt_voice(recordings: Sequence[Sound], model: VoiceFiLM | None = None) -> VoiceModel:
    """Return the voice of ``recordings``: paths, contents of files, or samples. No transcript is needed; some
    ten seconds do well. Raises :class:`DataError` for what is no speech, naming it."""
    if not len(recordings):
        raise DataError("no recording was given", where="recordings", fix="Give one, about ten seconds long")
    model = model or shipped_voices()
    parts: list[np.ndarray] = []
    notes: list[Note] = []
    for at, item in enumerate(recordings):
        where = str(item) if isinstance(item, str | Path) else f"recording {at + 1}"
        samples = read_recording(item, where)
        if (share := clipped(samples)) > 0.01:
            notes.append(Note(where, f"{share:.0%} of it is overdriven: it may sound rough", "warning"))
        parts += pieces(described(samples))
    heard = sum(float(part[:, BANDS + 1].sum()) for part in parts) / 100
    if heard < LEAST:
        raise DataError(
            f"{heard:.1f} s of voice were heard, at least {LEAST} s are needed",
            where="recordings",
            fix="Speak for about ten seconds, close to the microphone",
        )
    if heard < 3:
        notes.append(Note("recordings", f"only {heard:.1f} s of voice: ten do better", "warning"))
    started = time.perf_counter()
    with torch.no_grad():
        frames = torch.zeros(len(parts), FRAMES, BANDS + 2)
        for row, part in zip(frames, parts, strict=True):
            row[: len(part)] = torch.from_numpy(part)
        state = model.adapt(frames, torch.tensor([len(part) for part in parts]))
    return VoiceModel(model, state, time.perf_counter() - started, tuple(notes))


def pieces(frames: np.ndarray) -> list[np.ndarray]:
    """Return ``frames`` (n, BANDS + 2) without long silence, in pieces of at most FRAMES."""
    loud = np.logaddexp.reduce(frames[:, :BANDS], axis=1)
    said = loud > loud.max() - DEPTH
    near = np.convolve(said, np.ones(int(GAP * 100)), mode="same") > 0
    kept = frames[near]
    return [kept[first : first + FRAMES] for first in range(0, len(kept), FRAMES)]


def load_voice(path: Path | str, model: VoiceFiLM | None = None) -> VoiceModel:
    """Return the voice in a file of :meth:`VoiceModel.to_bytes`. Raises :class:`CheckpointError`, also for
    one that was adapted with other weights."""
    state, meta = load_checkpoint(path, "voice")
    model = model or shipped_voices()
    if meta["model"] != _told_apart(model):
        raise CheckpointError("was adapted with other weights", where=path, fix="Adapt again")
    return VoiceModel(model, state or None)


def _told_apart(model: VoiceFiLM) -> str:
    """Return what tells weights apart."""
    weights = torch.cat([part.flatten() for part in model.parameters()]).detach()
    return hashlib.sha256(weights.half().numpy().tobytes()).hexdigest()[:16]


def shipped_voices() -> VoiceFiLM:
    """Return the model that comes with metalab. Raises :class:`CheckpointError`."""
    return load_voices(SHIPPED / "voice-film.safetensors")


def average_voice() -> VoiceModel:
    """Return the voice that has not been adapted: one meta-trained alike, on the same voices, without any
    reference."""
    return VoiceModel(load_voices(SHIPPED / "voice-average.safetensors"), None)


def tagged_wav(samples: np.ndarray) -> bytes:
    """Return samples at 16 kHz as a WAV file whose comment is :data:`TAG`."""
    import soundfile

    kept = io.BytesIO()
    with soundfile.SoundFile(kept, "w", RATE, 1, "PCM_16", format="WAV") as file:
        file.comment = TAG
        file.software = "metalab"
        file.write(samples)
    return kept.getvalue()
