"""Step 3 of synthesis: pre-training of the average voice, and meta-training of the hypernetwork with it.

Both see the same meta-train voices and query utterances, the same number of times.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from metalab.backbones.base import seeded_initialisation
from metalab.backbones.teller import Teller, Told, told_loss
from metalab.checkpoints import load_checkpoint, load_into, save_checkpoint
from metalab.data.utterances import Utterances, utterances
from metalab.metalearners.voice_film import VoiceFiLM, repeated
from metalab.progress import Progress

WEIGHTS = {"bands": 1.0, "lasting": 0.5, "pitch": 2.0, "voicing": 0.2}
SHOTS = (1, 2, 5)
"""References of a meta-training task, in turn."""
VOICES_A_STEP, QUERY = 8, 2
LEARNING_RATE = 2e-3
STEPS = 2400
"""Of the shipped models."""
VOICES = ("voice-film", "voice-average")


def new_model(width: int = 128, hidden: int = 128, seed: int = 0) -> VoiceFiLM:
    """Return an untrained model."""
    with seeded_initialisation(seed):
        return VoiceFiLM(Teller(width), hidden)


def query_loss(model: VoiceFiLM, support: Utterances, query: Utterances, average: bool) -> Tensor:
    """Return the mean loss of ``query`` (b, q, ...) after adapting to ``support`` (b, k, ...), or, with
    ``average``, without adapting."""
    named = {name: value * WEIGHTS[name] for name, value in _losses(model, support, query, average).items()}
    return torch.stack(list(named.values())).sum()


def _losses(model: VoiceFiLM, support: Utterances, query: Utterances, average: bool) -> dict[str, Tensor]:
    frames, phonemes, lasting = (part.flatten(0, 1) for part in (query.frames, query.phonemes, query.lasting))
    longest = int(lasting.sum(-1).max())
    frames = frames[:, :longest]
    truth = {"lasting": lasting, "melody": frames[..., -2:], "frames": longest}
    told: Told
    if average:
        told = model.backbone(phonemes, **truth)
    else:
        state = model.adapt(support.frames, support.lengths)
        told = model.tell(repeated(state, query.frames.shape[1]), phonemes, **truth)
    return told_loss(told, frames, phonemes, lasting)


def train_voices(
    model: VoiceFiLM,
    train: Utterances,
    validation: Utterances,
    steps: int,
    average: bool = False,
    seconds: float = math.inf,
    seed: int = 0,
    validate_every: int = 200,
) -> Iterator[Progress]:
    """Meta-train ``model`` in place (with ``average`` only its backbone, without a voice), yielding events.

    Ends after ``steps``; the learning rate falls by a cosine of the larger share of ``steps`` and
    ``seconds`` that is done, and training ends when either is.
    """
    learnt: nn.Module = model.backbone if average else model
    optimiser = torch.optim.AdamW(learnt.parameters(), LEARNING_RATE, weight_decay=1e-4)
    started = time.monotonic()
    for step in range(steps):
        done = max(step / steps, (time.monotonic() - started) / seconds)
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * done))
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        loss = query_loss(model, *_episode(train, SHOTS[step % len(SHOTS)], generator), average)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learnt.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % 20 == 0:
            rate = (step + 1) / (time.monotonic() - started)
            yield Progress(
                "train", step + 1, steps, loss=loss.item(), rate=rate, eta=(steps - step - 1) / rate
            )
        if (step + 1) % validate_every == 0:
            yield Progress("validation", step + 1, steps, loss=validated(model, validation, average))


@torch.no_grad()
def validated(model: VoiceFiLM, held: Utterances, average: bool, shot: int = 5) -> float:
    """Return the mean absolute error of the bands on utterances of ``held`` after the first ``shot``."""
    voices = torch.arange(len(held.frames)).unsqueeze(1)
    support = held.of(voices, torch.arange(shot).unsqueeze(0))
    query = held.of(voices, torch.arange(20, 22).unsqueeze(0))
    losses = _losses(model, support, query, average)
    return losses["bands"].item() + losses["pitch"].item()


def _episode(source: Utterances, shot: int, generator: torch.Generator) -> tuple[Utterances, Utterances]:
    voices = torch.randperm(len(source.frames), generator=generator)[:VOICES_A_STEP].unsqueeze(1)
    order = torch.rand(VOICES_A_STEP, source.frames.shape[1], generator=generator).argsort(1)
    return source.of(voices, order[:, QUERY : QUERY + shot]), source.of(voices, order[:, :QUERY])


def save_voices(path: Path | str, model: VoiceFiLM, average: bool = False) -> None:
    """Write ``model``, with ``average`` its backbone alone, to ``path``: matrices in 8 bits, a scale for each
    row. Raises :class:`StorageError`."""
    tensors: dict[str, Tensor] = {}
    for name, part in (model.backbone if average else model).state_dict().items():
        if part.ndim < 2:
            tensors[name] = part.half()
            continue
        scale = part.abs().flatten(1).amax(1).clamp(min=1e-8).float() / 127
        tensors[f"{name}.scale"] = scale
        tensors[name] = (part / scale.view(-1, *[1] * (part.ndim - 1))).round().to(torch.int8)
    meta = {"width": model.backbone.width, "hidden": model.hidden, "average": average}
    save_checkpoint(path, "voices", tensors, meta)


def load_voices(path: Path | str) -> VoiceFiLM:
    """Return what :func:`save_voices` wrote; of an average voice the rest is untrained, so changes nothing.
    Raises :class:`CheckpointError`."""
    tensors, meta = load_checkpoint(path, "voices")
    model = new_model(meta["width"], meta["hidden"])
    read: dict[str, Tensor] = {}
    for name, part in tensors.items():
        if not name.endswith(".scale"):
            read[name] = part.float()
            if (scale := tensors.get(f"{name}.scale")) is not None:
                read[name] *= scale.view(-1, *[1] * (part.ndim - 1))
    load_into(model.backbone if meta["average"] else model, read, path)
    return model.eval()


def ship_voices(name: str, path: Path) -> Iterator[Progress]:
    """Train what is shipped, "voice-film" or "voice-average", and write it to ``path``: about eight minutes
    on one core."""
    model, average = new_model(), name == "voice-average"
    yield from train_voices(model, utterances("train"), utterances("validation"), STEPS, average)
    save_voices(path, model, average)
