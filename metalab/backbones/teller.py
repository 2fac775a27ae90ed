"""An acoustic model that turns phonemes into frames of mel bands, pitch and voicing, all at once.

After FastSpeech 2 (Ren et al. 2021, section 2): phonemes are encoded, each is repeated for as many frames as
it is predicted to last, pitch is predicted, and the bands are decoded given both. FiLM may adjust each block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.base import Film
from metalab.data.acoustics import BANDS
from metalab.data.utterances import PHONEMES

ENCODING, PITCHING, DECODING = 3, 2, 4
"""Blocks on phonemes, on frames before the pitch is known, and after."""
BLOCKS = ENCODING + PITCHING + DECODING
PLACES = 4
"""Numbers that tell where a frame is in its phoneme and in the utterance."""


class Told(NamedTuple):
    """What is predicted of utterances: log frames of each phoneme (n, p), bands (n, t, BANDS), octaves of the
    pitch above 100 Hz (n, t), and logits of voicing (n, t)."""

    lasting: Tensor
    bands: Tensor
    octaves: Tensor
    voicing: Tensor


class Teller(nn.Module):
    """Phonemes (n, p) int64, 0 padding → :class:`Told`. About a million parameters at width 128.

    ``width`` is the channels of every block, ``kernel`` the odd extent of its convolution.
    """

    def __init__(self, width: int = 128, kernel: int = 5) -> None:
        super().__init__()
        self.width, self.kernel = width, kernel
        self.embedding = nn.Embedding(len(PHONEMES) + 1, width, padding_idx=0)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, kernel, padding=kernel // 2) for _ in range(BLOCKS)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(BLOCKS))
        self.place = nn.Linear(PLACES, width)
        self.melody = nn.Linear(2, width)
        self.lasting = nn.Linear(width, 1)
        self.pitch = nn.Linear(width, 2)
        self.bands = nn.Linear(width, BANDS)
        self.film_channels = (width,) * BLOCKS

    def forward(
        self,
        phonemes: Tensor,
        film: Film | None = None,
        lasting: Tensor | None = None,
        melody: Tensor | None = None,
        frames: int | None = None,
        shifts: Tensor | None = None,
    ) -> Told:
        """Tell ``phonemes`` in the voice of ``film``: pairs (channels,) or (n, channels) a block.

        ``lasting`` (n, p) int64 and ``melody`` (n, t, 2), octaves and voicing, are the true ones while
        training; without, those predicted are used. ``frames`` is t, by default the longest. ``shifts``
        (2,) or (n, 2) are added to log durations and octaves.
        """
        heard = (phonemes > 0).unsqueeze(-1)
        slower, higher = (0.0, 0.0) if shifts is None else shifts.unsqueeze(-2).unbind(-1)
        h = self.embedding(phonemes)
        for block in range(ENCODING):
            h = self._block(block, h, heard, film)
        long = self.lasting(h).squeeze(-1) + 2.0 + slower
        if lasting is None:
            lasting = (long.exp() * heard.squeeze(-1)).round().clamp(min=1).long() * heard.squeeze(-1)
        total = frames or int(lasting.sum(-1).max())
        index, place, spoken = expanded(lasting, total)
        h = h.gather(1, index.unsqueeze(-1).expand(-1, -1, h.shape[-1])) + self.place(place)
        for block in range(ENCODING, ENCODING + PITCHING):
            h = self._block(block, h, spoken, film)
        octaves, voicing = self.pitch(h).unbind(-1)
        octaves = octaves + 0.6 + higher
        if melody is None:
            melody = torch.stack([octaves, (voicing > 0).float()], -1)
        h = h + self.melody(melody)
        for block in range(ENCODING + PITCHING, BLOCKS):
            h = self._block(block, h, spoken, film)
        return Told(long, self.bands(h) - 8.0, octaves, voicing)

    def _block(self, block: int, h: Tensor, kept: Tensor, film: Film | None) -> Tensor:
        new = self.norms[block](self.convolutions[block](h.transpose(1, 2)).transpose(1, 2))
        if film is not None:
            gamma, beta = (part.unsqueeze(-2) for part in film[block])
            new = new * (1 + gamma) + beta
        return (h + F.gelu(new)) * kept


def expanded(lasting: Tensor, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return for ``frames`` frames which phoneme each belongs to (n, t), where it is there and in the whole
    (n, t, PLACES), and whether it is no padding (n, t, 1), from ``lasting`` (n, p)."""
    ends = lasting.cumsum(-1)
    at = torch.arange(frames, device=lasting.device).expand(len(lasting), -1).contiguous()
    index = torch.searchsorted(ends, at, right=True).clamp(max=lasting.shape[1] - 1)
    own, last = lasting.gather(1, index).clamp(min=1), ends.gather(1, index)
    left, whole = (last - at) / own, ends[:, -1:].clamp(min=1)
    along = at / whole
    place = torch.stack([1 - left, (own / 10).expand_as(left), along, along.square()], -1)
    spoken = (at < ends[:, -1:]).unsqueeze(-1)
    return index, place * spoken, spoken


def told_loss(
    told: Told, frames: Tensor, phonemes: Tensor, lasting: Tensor, each: bool = False
) -> dict[str, Tensor]:
    """Return the losses of ``told``, by name: mean absolute error of bands (``frames`` (n, t, BANDS + 2)), of
    log durations and of octaves of voiced frames, and cross-entropy of voicing; with ``each`` one an
    utterance (n,)."""
    spoken = expanded(lasting, frames.shape[1])[2].squeeze(-1).float()
    heard, voiced = (phonemes > 0).float(), frames[..., BANDS + 1] * spoken

    def mean(values: Tensor, weights: Tensor) -> Tensor:
        if each:
            return (values * weights).sum(-1) / weights.sum(-1).clamp(min=1)
        return (values * weights).sum() / weights.sum().clamp(min=1)

    voicing = F.binary_cross_entropy_with_logits(told.voicing, frames[..., BANDS + 1], reduction="none")
    return {
        "bands": mean((told.bands - frames[..., :BANDS]).abs().mean(-1), spoken),
        "lasting": mean((told.lasting - lasting.clamp(min=1).log()).abs(), heard),
        "pitch": mean((told.octaves - frames[..., BANDS]).abs(), voiced),
        "voicing": mean(voicing, spoken),
    }


def film_of(parts: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return the FiLM pairs of a state's ``gamma<i>``, ``beta<i>``."""
    return [(parts[f"gamma{block}"], parts[f"beta{block}"]) for block in range(BLOCKS)]
