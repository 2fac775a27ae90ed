"""Renderings of texts as candidates to choose from, described, for a writer tuned to a task."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metalab.backbones.base import Params
from metalab.backbones.writer import Writer
from metalab.candidates import Candidates, as_pairs, as_text, stacked
from metalab.chrf import chrf
from metalab.data.pairs import padded, target_ids
from metalab.data.subwords import PAD, Vocabulary, vocabulary
from metalab.renderings import MOST, Kind, Rendering, remembered, rendering_features
from metalab.tasks import Examples
from metalab.writing import likelihoods, write

BEAMS = {Kind.TUNED: 3, Kind.MEAN_CODE: 1, Kind.NEAREST: 2, Kind.NEXT: 1}
"""Texts of each writer."""


@torch.no_grad()
def rendered(
    writer: Writer, state: dict[str, Tensor], support: Examples, x: Tensor, y: Tensor | None
) -> Candidates:
    """Return the renderings of texts ``x`` (n, length), with their chrF where ``y`` (n, t) is known.

    ``state`` has what :func:`metalab.tuning.fitted` gives, ``near.codes`` (k, CODE), ``near.mean`` (CODE,).
    """
    words = vocabulary(writer.vocabulary)
    pairs = as_pairs(support, words)
    sources = [as_text(row, words) for row in x.long().tolist()]
    held = [remembered(pairs, source) for source in sources]
    params = {name: state.get(name, value) for name, value in writer.params().items()}
    own = writer.params()
    writers = [(Kind.TUNED, params, state["code"])] if len(pairs) else []
    writers.append((Kind.MEAN_CODE, own, state["near.mean"]))
    writers += [
        (kind, own, code) for kind, code in zip((Kind.NEAREST, Kind.NEXT), state["near.codes"], strict=False)
    ]
    for kind, weights, code in writers:
        film = writer.film_of(weights, code)
        memory = writer.read(weights, x, film)
        ids, chances = write(writer, weights, memory, film, beams=max(2, BEAMS[kind]))
        for at, (beams, logs) in enumerate(zip(ids.tolist(), chances.tolist(), strict=True)):
            texts = zip(beams[: BEAMS[kind]], logs, strict=False)
            held[at] += [
                Rendering(words.decode(one), kind, place, log) for place, (one, log) in enumerate(texts)
            ]
    held = [_different(own) for own in held]
    chances = _tuned_chances(writer, params, state["code"], x, held, words)
    features = [
        rendering_features(own, source, pairs, logs)
        for own, source, logs in zip(held, sources, chances, strict=True)
    ]
    truths = None if y is None else [words.decode(row) for row in y.tolist()]
    texts = [[one.text for one in own] for own in held]
    return stacked(texts, features, truths, chrf, words, x.device)


def _different(held: list[Rendering]) -> list[Rendering]:
    kept: dict[str, Rendering] = {}
    for one in sorted(held, key=lambda one: (one.kind, one.place)):
        if one.text:
            kept.setdefault(one.text, one)
    return list(kept.values())[:MOST] or held[:1]


def _tuned_chances(
    writer: Writer, params: Params, code: Tensor, x: Tensor, held: list[list[Rendering]], words: Vocabulary
) -> list[np.ndarray]:
    """Return the mean log probability of a sub-word of each rendering under the tuned writer."""
    rows = torch.tensor([at for at, own in enumerate(held) for _ in own], device=x.device)
    ids = words.encode_all([one.text for own in held for one in own])
    y = torch.from_numpy(padded([target_ids(one) for one in ids])).to(x.device)
    film = writer.film_of(params, code)
    memory = writer.read(params, x, film)
    means = torch.zeros(len(rows), device=x.device)
    for part in (y != PAD).sum(1).argsort().split(64):
        targets = y[part, : int((y[part] != PAD).sum(1).max())]
        logs = likelihoods(writer, params, memory.chosen(rows[part]), targets, film)
        counts = (targets != PAD).to(logs)
        means[part] = (logs * counts).sum(1) / counts.sum(1)
    return [part.cpu().numpy() for part in means.split([len(own) for own in held])]
