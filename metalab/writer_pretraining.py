"""Step 2 for writers: one network learns to write for all meta-train groups, told apart by a code each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from metalab.backbones import Writer
from metalab.config import Config
from metalab.data.subwords import PAD
from metalab.descent import descend
from metalab.progress import Progress
from metalab.tasks import Examples, TaskSource
from metalab.writing import likelihoods

BATCH, RATE, WARM = 128, 2e-3, 200
"""Pairs a step, peak learning rate, and steps until it is reached."""
TOGETHER = 16
"""Pairs of like length that are written at once: a short text need not be padded to the longest."""
UNCODED = 0.15
"""Share of pairs that are written without their group's code, so that the writer can do without."""


def pretrain_writer(backbone: Writer, source: TaskSource, config: Config) -> Iterator[Progress]:
    """Train ``backbone`` in place on the pairs of all meta-train groups of ``source``, yielding progress.

    AdamW with warm-up and a cosine schedule, ``config.pretrain_steps`` steps. Seeded.
    """
    backbone.groups.fill_(source.n_train_classes)
    device, parameters = backbone.input_mean.device, list(backbone.parameters())

    def objective(generator: torch.Generator) -> tuple[Tensor, Callable[[], Tensor]]:
        pairs, groups = source.labelled_pairs(BATCH, generator)
        coded = torch.rand(BATCH, device=device, generator=generator) >= UNCODED
        params = backbone.params()
        codes = params["codes"][groups] * coded[:, None]
        logs = []
        for rows, part in _by_length(pairs):
            film = backbone.film_of(params, codes[rows])
            memory = backbone.read(params, part.x, film)
            likelihood = likelihoods(backbone, params, memory, part.y, film)
            logs.append(likelihood[part.y != PAD])
        mean = torch.cat(logs).mean()
        return -mean, mean.detach().exp

    yield from descend(
        torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.98), weight_decay=0.01),
        objective,
        config.pretrain_steps,
        warm=WARM,
        examples=BATCH,
        device=device,
        seed=config.seed,
        clip=(parameters, config.clip),
    )


def _by_length(pairs: Examples) -> Iterator[tuple[Tensor, Examples]]:
    """Yield the places of :data:`TOGETHER` pairs after the other, the shortest first, and these trimmed."""
    sources, targets = (pairs.x != PAD).sum(1), (pairs.y != PAD).sum(1)
    for rows in (targets * pairs.x.shape[1] + sources).argsort().split(TOGETHER):
        longest = int(sources[rows].max()), int(targets[rows].max())
        yield rows, Examples(pairs.x[rows, : longest[0]], pairs.y[rows, : longest[1]])
