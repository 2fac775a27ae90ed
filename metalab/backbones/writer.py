"""A reader and writer of short texts: an encoder-decoder that can copy, modulated by a code of the task.

Transformer blocks (Vaswani et al. 2017) with short convolutions for the order of sub-words, a pointer that
copies (See et al. 2017, equations 8-9), and FiLM (Perez et al. 2018) from a small code: one for each group of
meta-train (language, package), learnt together as in multilingual translation (Johnson et al. 2017). An
unseen group is a new code, or adjusted parameters.
"""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.base import Backbone, Film, Normalisation, Params
from metalab.data.subwords import PAD, SIZE

CODE, GROUPS = 32, 256
"""Numbers of a code, and most groups of meta-train that have one."""
HEADS, AROUND, BEHIND = 4, 5, 4
"""Heads of attention; sub-words that a convolution of the encoder, and of the decoder, sees."""
HIDDEN_LOGIT = -1e4
"""Of attention to what is padding."""


class Memory(NamedTuple):
    """What the decoder looks at and copies from: ``features`` (n, m, d), ``ids`` (n, m), ``seen`` (n, m)."""

    features: Tensor
    ids: Tensor
    seen: Tensor

    def joined(self, other: Memory) -> Memory:
        """Return this memory with ``other`` (1 or n, k, ...) for all texts beside it."""
        n = len(self.ids)
        return Memory(
            *(torch.cat([a, b.expand(n, *b.shape[1:])], 1) for a, b in zip(self, other, strict=True))
        )

    def chosen(self, rows: Tensor) -> Memory:
        """Return the memories of ``rows``."""
        return Memory(*(part[rows] for part in self))


class Past(NamedTuple):
    """What a block of the decoder keeps of the sub-words written so far: each (n, t, d)."""

    inputs: Tensor
    keys: Tensor
    values: Tensor


class Writer(Backbone):
    """Sub-words (n, length) → features (n, d), the mean of a text; and texts written from them.

    ``size`` is the most sub-words that are read, ``width`` is d; ``channels`` and ``normalisation`` are
    unused (layers are normalised one by one: inductive). FiLM has a pair for every block, the encoder's
    first; each is (d,), or (n, d) for texts of several groups.
    """

    vocabulary: ClassVar[str]
    """Name of the vocabulary that the sub-words are of."""
    reading: ClassVar[int]
    """Blocks of the encoder."""
    writing: ClassVar[int]
    """Blocks of the decoder."""

    def __init__(
        self, channels: int = 1, size: int = 48, width: int = 128, normalisation: Normalisation = "running"
    ) -> None:
        super().__init__(channels, size, width, normalisation)
        self.feature_dim, self.film_channels = width, (width,) * (self.reading + self.writing)
        self._add("embed", SIZE, width, deviation=width**-0.5)
        self._add("segment", 2, width, deviation=0.02)
        self._add("codes", GROUPS, CODE, deviation=0.1)
        self.register_buffer("groups", torch.zeros((), dtype=torch.int64))  # whose codes are learnt
        self._add("film", self.reading + self.writing, 2 * width, CODE, deviation=0.02)
        for block in range(self.reading):
            self._block(f"read{block}", AROUND)
        for block in range(self.writing):
            self._block(f"write{block}", BEHIND)
            self._scale(f"write{block}_look")
            self._attention(f"write{block}_look")
        self._scale("read_last")
        self._scale("write_last")
        self._add("copy_query", width, width, deviation=width**-0.5)
        self._add("copy_key", width, width, deviation=width**-0.5)
        self._add("copy_gate", 1, width, deviation=0.02)
        self._add("out_bias", SIZE, deviation=0.0)

    def _add(self, name: str, *shape: int, deviation: float) -> None:
        self.register_parameter(name, nn.Parameter(torch.randn(*shape) * deviation))

    def _scale(self, name: str) -> None:
        self.register_parameter(f"{name}_weight", nn.Parameter(torch.ones(self.width)))
        self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(self.width)))

    def _attention(self, name: str) -> None:
        self._add(f"{name}_query", self.width, self.width, deviation=self.width**-0.5)
        self._add(f"{name}_keys", 2 * self.width, self.width, deviation=self.width**-0.5)
        self._add(f"{name}_out", self.width, self.width, deviation=0.5 * self.width**-0.5)

    def _block(self, name: str, taps: int) -> None:
        for part in ("near", "far", "mix"):
            self._scale(f"{name}_{part}")
        self._add(f"{name}_near_conv", self.width, self.width, taps, deviation=(taps * self.width) ** -0.5)
        self._attention(f"{name}_far")
        self._add(f"{name}_mix_in", 2 * self.width, self.width, deviation=self.width**-0.5)
        self._add(f"{name}_mix_out", self.width, 2 * self.width, deviation=0.5 * (2 * self.width) ** -0.5)

    def film_of(self, params: Params, code: Tensor) -> Film:
        """Return the pair of each block, (d,) each, or (n, d), for ``code`` (CODE,) or (n, CODE); a code of
        zeros changes nothing."""
        both = torch.einsum("bwc,...c->b...w", params["film"], code)
        return [tuple(pair.chunk(2, -1)) for pair in both]

    def read(self, params: Params, x: Tensor, film: Film | None = None, segment: int = 0) -> Memory:
        """Return what is known of each sub-word of texts ``x`` (n, length); ``segment`` 1 marks examples of
        what is to be written."""
        ids = x.long()
        seen = ids != PAD
        h = self._embedded(params, ids) + params["segment"][segment]
        shown = seen[..., None].to(h.dtype)
        for block in range(self.reading):
            name = f"read{block}"
            inner = self._modulated(self._normed(params, f"{name}_near", h), film, block) * shown
            near = F.conv1d(inner.transpose(1, 2), params[f"{name}_near_conv"], padding=AROUND // 2)
            h = h + F.gelu(near.transpose(1, 2))
            inner = self._normed(params, f"{name}_far", h)
            keys, values = self._keys(params, f"{name}_far", inner)
            h = h + self._attend(params, f"{name}_far", inner, keys, values, seen[:, None])
            h = h + self._mixed(params, name, h)
        return Memory(self._normed(params, "read_last", h), ids, seen)

    def extract(self, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
        """Return the mean feature (n, d) of texts ``x`` (n, length)."""
        held = self.read(params, x, film)
        shown = held.seen[..., None].to(held.features.dtype)
        return (held.features * shown).sum(1) / shown.sum(1).clamp(min=1)

    def write(
        self,
        params: Params,
        memory: Memory,
        ids: Tensor,
        film: Film | None = None,
        past: list[Past] | None = None,
    ) -> tuple[Tensor, list[Past]]:
        """Return features (n, t, d) that foretell what follows each of ``ids`` (n, t), and the new past.

        ``ids`` go on from ``past``, so a text can be written bit by bit.
        """
        before = 0 if past is None else past[0].keys.shape[1]
        h, kept = self._embedded(params, ids, before), []
        t = ids.shape[1]
        causal = torch.ones(t, before + t, dtype=torch.bool, device=ids.device).tril(before)
        for block in range(self.writing):
            name = f"write{block}"
            inner = self._modulated(self._normed(params, f"{name}_near", h), film, self.reading + block)
            row = inner if past is None else torch.cat([past[block].inputs, inner], 1)
            padded = F.pad(row.transpose(1, 2), (BEHIND - 1, 0))[..., -(t + BEHIND - 1) :]
            h = h + F.gelu(F.conv1d(padded, params[f"{name}_near_conv"]).transpose(1, 2))
            inner = self._normed(params, f"{name}_far", h)
            keys, values = self._keys(params, f"{name}_far", inner)
            if past is not None:
                keys = torch.cat([past[block].keys, keys], 1)
                values = torch.cat([past[block].values, values], 1)
            h = h + self._attend(params, f"{name}_far", inner, keys, values, causal)
            kept.append(Past(row[:, -(BEHIND - 1) :], keys, values))
            inner = self._normed(params, f"{name}_look", h)
            looked = self._keys(params, f"{name}_look", memory.features)
            h = h + self._attend(params, f"{name}_look", inner, *looked, memory.seen[:, None])
            h = h + self._mixed(params, name, h)
        return self._normed(params, "write_last", h), kept

    def copying(self, params: Params, h: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return the log share of copying (n, t), and how much each place of ``memory`` is copied (n, t, m).

        ``h`` (n, t, d) is from :meth:`write`. The shares of places are logarithms and sum to one.
        """
        likeness = (h @ params["copy_query"].t()) @ (memory.features @ params["copy_key"].t()).transpose(1, 2)
        likeness = (likeness / math.sqrt(self.width)).masked_fill(~memory.seen[:, None], HIDDEN_LOGIT)
        return F.linear(h, params["copy_gate"])[..., 0], likeness.log_softmax(-1)

    def written(self, params: Params, h: Tensor) -> Tensor:
        """Return logits (n, t, SIZE) of each sub-word when it is not copied."""
        return F.linear(h, params["embed"], params["out_bias"])

    def standardise(self, x: Tensor) -> Tensor:
        """Return ``x``: numbers of sub-words have no mean."""
        return x

    def _embedded(self, params: Params, ids: Tensor, before: int = 0) -> Tensor:
        """Return embeddings (n, t, d) with sinusoids of the places, which start at ``before``."""
        h = F.embedding(ids, params["embed"]) * math.sqrt(self.width)
        place = torch.arange(before, before + ids.shape[-1], device=ids.device, dtype=h.dtype)
        rate = torch.arange(0, self.width, 2, device=ids.device, dtype=h.dtype) * (
            -math.log(1e4) / self.width
        )
        angle = place[:, None] * rate.exp()
        return h + torch.cat([angle.sin(), angle.cos()], 1)

    def _normed(self, params: Params, name: str, h: Tensor) -> Tensor:
        return F.layer_norm(h, (self.width,), params[f"{name}_weight"], params[f"{name}_bias"])

    def _modulated(self, h: Tensor, film: Film | None, block: int) -> Tensor:
        """Apply the pair of ``block``, (d,) or (n, d), to ``h`` (n, t, d)."""
        if film is None:
            return h
        gamma, beta = film[block]
        return h * (1 + gamma).unsqueeze(-2) + beta.unsqueeze(-2)

    def _keys(self, params: Params, name: str, h: Tensor) -> tuple[Tensor, Tensor]:
        return F.linear(h, params[f"{name}_keys"]).chunk(2, -1)

    def _attend(
        self, params: Params, name: str, h: Tensor, keys: Tensor, values: Tensor, seen: Tensor
    ) -> Tensor:
        """Return multi-head attention (n, t, d) of ``h`` to ``keys`` (n, m, d); ``seen`` (n or none, t or 1,
        m) is False for what must not be looked at."""
        query, keys, values = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in (F.linear(h, params[f"{name}_query"]), keys, values)
        )
        likeness = query @ keys.transpose(-1, -2) / math.sqrt(self.width // HEADS)
        weights = likeness.masked_fill(~seen.unsqueeze(-3), HIDDEN_LOGIT).softmax(-1)
        return F.linear((weights @ values).transpose(1, 2).flatten(2), params[f"{name}_out"])

    def _mixed(self, params: Params, name: str, h: Tensor) -> Tensor:
        inner = F.linear(self._normed(params, f"{name}_mix", h), params[f"{name}_mix_in"])
        return F.linear(F.gelu(inner), params[f"{name}_mix_out"])


class Translator(Writer):
    """Writes interface phrases and names of languages."""

    vocabulary = "languages"
    reading, writing = 2, 1


class Summariser(Writer):
    """Writes summaries of documentation: long texts, few pairs, so it has few blocks."""

    vocabulary = "documents"
    reading, writing = 1, 1
