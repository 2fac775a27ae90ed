"""Step 2 for writers: one network learns to write for all meta-train groups, told apart by a code each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from metalab.backbones import Writer
from metalab.config import Config
from metalab.descent import descend
from metalab.progress import Progress
from metalab.tasks import TaskSource
from metalab.writing import likelihoods, likeliness, writing_loss

BATCH, RATE, WARM = 128, 2e-3, 200
"""Pairs a step, peak learning rate, and steps until it is reached."""
UNCODED = 0.15
"""Share of pairs that are written without their group's code, so that the writer can do without."""


def pretrain_writer(backbone: Writer, source: TaskSource, config: Config) -> Iterator[Progress]:
    """Train ``backbone`` in place on the pairs of all meta-train groups of ``source``, yielding progress.

    AdamW with warm-up and a cosine schedule, ``config.pretrain_steps`` steps. Seeded.
    """
    device, parameters = backbone.input_mean.device, list(backbone.parameters())

    def objective(generator: torch.Generator) -> tuple[Tensor, Callable[[], Tensor]]:
        pairs, groups = source.labelled_pairs(BATCH, generator)
        coded = torch.rand(BATCH, device=device, generator=generator) >= UNCODED
        params = backbone.params()
        film = backbone.film_of(params, params["codes"][groups] * coded[:, None])
        memory = backbone.read(params, pairs.x, film)
        likelihood = likelihoods(backbone, params, memory, pairs.y, film)
        return writing_loss(likelihood, pairs.y), lambda: likeliness(likelihood.detach(), pairs.y)

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
