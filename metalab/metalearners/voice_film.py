"""A hypernetwork reads a voice's recordings and retunes every block of the acoustic model: no transcript, no
gradients.

FiLM hypernetwork as in CNAPs (Requeima et al. 2019, sections 2.2-2.3) on FastSpeech 2; the reading is that of
a global style encoder (Wang et al. 2018), a mean and deviation over all frames of all recordings.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.teller import Teller, Told, film_of
from metalab.data.acoustics import BANDS, FLOOR
from metalab.metalearners.base import State

CODE = 64
"""Numbers that a voice is summed up in."""
READING = 2
"""Convolutions that read frames, each halving their number."""


class VoiceFiLM(nn.Module):
    """``adapt`` reads recordings, ``tell`` speaks. Generators start at zero: the un-adapted voice."""

    name, label = "voice-film", "Voice FiLM"
    summary = "A neural network hears the voice and retunes every layer of the speaking model in one pass."

    def __init__(self, backbone: Teller, hidden: int = 128) -> None:
        super().__init__()
        self.backbone, self.hidden = backbone, hidden
        widths = [BANDS + 2, *[hidden] * READING]
        self.reading = nn.ModuleList(
            nn.Conv1d(before, after, 5, stride=2, padding=2) for before, after in itertools.pairwise(widths)
        )
        plain = 2 * (BANDS + 2) + 1
        self.summary_layer = nn.Sequential(
            nn.LayerNorm(2 * hidden + plain), nn.Linear(2 * hidden + plain, hidden), nn.GELU()
        )
        self.coding = nn.Linear(hidden, CODE)
        self.film = nn.ModuleList(nn.Linear(CODE, 2 * channels) for channels in backbone.film_channels)
        self.shifts = nn.Linear(CODE, 2)
        for layer in (*self.film, self.shifts):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def code(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return the code (..., CODE) of a voice from ``frames`` (..., k, t, BANDS + 2) of k recordings, of
        which ``lengths`` (..., k) are no padding."""
        *lead, _, t, width = frames.shape
        kept = torch.arange(t, device=frames.device) < lengths.unsqueeze(-1)
        level = (frames[..., :BANDS] - FLOOR / 2) / 4
        x = torch.cat([level, frames[..., BANDS:]], -1) * kept.unsqueeze(-1)
        h, heard = x.reshape(-1, t, width).transpose(1, 2), kept.reshape(-1, 1, t)
        for layer in self.reading:
            heard = heard[..., ::2]
            h = F.gelu(layer(h)) * heard
        h = h.transpose(1, 2).reshape(*lead, -1, self.hidden)
        coded = _moments(h, heard.reshape(*lead, -1))
        voiced = kept & (frames[..., BANDS + 1] > 0)
        flat, sounding = x.reshape(*lead, -1, width), voiced.reshape(*lead, -1)
        share = (voiced.sum((-1, -2)) / kept.sum((-1, -2)).clamp(min=1)).unsqueeze(-1)
        return self.coding(self.summary_layer(torch.cat([coded, _moments(flat, sounding), share], -1)))

    def state(self, code: Tensor) -> State:
        """Return ``code`` (..., CODE), FiLM pairs ``gamma<i>``, ``beta<i>`` (..., channels), and ``shifts``
        (..., 2) of log durations and octaves."""
        state = {"code": code, "shifts": self.shifts(code)}
        for block, generator in enumerate(self.film):
            state[f"gamma{block}"], state[f"beta{block}"] = generator(code).chunk(2, dim=-1)
        return state

    def adapt(self, frames: Tensor, lengths: Tensor) -> State:
        """Return the state of the voice of recordings, as :meth:`code` takes them."""
        return self.state(self.code(frames, lengths))

    def tell(self, state: State, phonemes: Tensor, **truth: Tensor | int) -> Told:
        """Return what ``phonemes`` (n, p) sound like; ``truth`` as :meth:`Teller.forward` takes it."""
        return self.backbone(phonemes, film_of(state), shifts=state["shifts"], **truth)


def repeated(state: State, times: int) -> State:
    """Return a state of n voices for ``times`` utterances of each, one voice after the other."""
    return {name: part.repeat_interleave(times, 0) for name, part in state.items()}


def _moments(x: Tensor, kept: Tensor) -> Tensor:
    """Return mean and deviation (..., 2 * d) of ``x`` (..., n, d) where ``kept`` (..., n)."""
    weights = kept.unsqueeze(-1).to(x.dtype)
    count = weights.sum(-2).clamp(min=1)
    mean = (x * weights).sum(-2) / count
    spread = ((x - mean.unsqueeze(-2)).square() * weights).sum(-2) / count
    return torch.cat([mean, (spread + 1e-5).sqrt()], -1)
