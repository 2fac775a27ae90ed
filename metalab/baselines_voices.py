"""What adapting a voice must beat: simpler ways to sound like somebody from the same recordings."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.backbones.teller import Teller, told_loss
from metalab.data.acoustics import BANDS
from metalab.data.utterances import Utterances
from metalab.metalearners.base import State
from metalab.metalearners.voice_film import VoiceFiLM
from metalab.voice_training import WEIGHTS


def shifted(average: Teller, support: Utterances) -> Tensor:
    """Return the shifts (2,) of log durations and octaves that give the average voice the mean speed and
    pitch of ``support`` (k, ...); its transcripts are used."""
    frames, long = support.frames, int(support.lengths.max())
    with torch.no_grad():
        told = average(support.phonemes, lasting=support.lasting, frames=long)
    heard, voiced = support.phonemes > 0, frames[:, :long, BANDS + 1] > 0
    slower = (support.lasting.clamp(min=1).log() - told.lasting)[heard].mean()
    return torch.stack([slower, (frames[:, :long, BANDS] - told.octaves)[voiced].mean()])


def seen_codes(model: VoiceFiLM, train: Utterances) -> Tensor:
    """Return the codes (voices, CODE) of all meta-train voices, from all their utterances."""
    with torch.no_grad():
        return torch.cat(
            [
                model.code(frames[None], lengths[None])
                for frames, lengths in zip(train.frames, train.lengths, strict=True)
            ]
        )


def nearest_seen(model: VoiceFiLM, codes: Tensor, support: Utterances) -> State:
    """Return the state of the meta-train voice whose code is most alike (cosine) that of ``support``."""
    with torch.no_grad():
        own = model.code(support.frames, support.lengths)
        centre = codes.mean(0)
        return model.state(codes[F.cosine_similarity(codes - centre, own - centre, dim=-1).argmax()])


def fine_tuned(start: Teller, support: Utterances, steps: int, rate: float, batch: int = 6) -> Teller:
    """Return a copy of ``start`` trained on ``support`` (k, ...) with its transcripts, all parameters; given
    fresh weights this is learning from scratch."""
    model = copy.deepcopy(start).requires_grad_(True)
    optimiser = torch.optim.Adam(model.parameters(), rate)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randperm(len(support.phonemes), generator=generator)[:batch]
        frames, phonemes, lasting = (
            part[rows] for part in (support.frames, support.phonemes, support.lasting)
        )
        long = int(lasting.sum(-1).max())
        told = model(phonemes, lasting=lasting, melody=frames[:, :long, BANDS:], frames=long)
        losses = told_loss(told, frames[:, :long], phonemes, lasting)
        optimiser.zero_grad(set_to_none=True)
        sum(losses[name] * weight for name, weight in WEIGHTS.items()).backward()
        optimiser.step()
    return model


def with_backbone(model: VoiceFiLM, backbone: Teller) -> VoiceFiLM:
    """Return ``model`` speaking by another ``backbone``; what is not changed is shared."""
    other = copy.copy(model)
    other._modules = {**model._modules, "backbone": backbone}
    return other
