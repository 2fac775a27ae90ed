"""Step 2 for writers: one network learns to write for all meta-train groups, told apart by a code each."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch

from metalab.backbones import Writer
from metalab.config import Config
from metalab.progress import Progress
from metalab.tasks import TaskSource, seeded
from metalab.writing import likelihoods, likeliness, writing_loss

BATCH, RATE, WARM = 64, 2e-3, 100
"""Pairs a step, peak learning rate, and steps until it is reached."""
UNCODED = 0.15
"""Share of pairs that are written without their group's code, so that the writer can do without."""


def pretrain_writer(backbone: Writer, source: TaskSource, config: Config) -> Iterator[Progress]:
    """Train ``backbone`` in place on the pairs of all meta-train groups of ``source``, yielding progress.

    AdamW with warm-up and a cosine schedule, ``config.pretrain_steps`` steps. Seeded.
    """
    device, steps = backbone.input_mean.device, config.pretrain_steps
    optimiser = torch.optim.AdamW(backbone.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    started = time.monotonic()
    for step in range(1, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, step / WARM) * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
        generator = seeded(device, config.seed, "pretrain", step)
        pairs, groups = source.labelled_pairs(BATCH, generator)
        coded = torch.rand(BATCH, device=device, generator=generator) >= UNCODED
        params = backbone.params()
        film = backbone.film_of(params, params["codes"][groups] * coded[:, None])
        memory = backbone.read(params, pairs.x, film)
        likelihood = likelihoods(backbone, params, memory, pairs.y, film)
        loss = writing_loss(likelihood, pairs.y)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(backbone.parameters(), config.clip)
        optimiser.step()
        if step % 10 == 0 or step == steps:
            rate = step / (time.monotonic() - started)
            yield Progress(
                "pretrain",
                step,
                steps,
                loss=loss.item(),
                accuracy=likeliness(likelihood.detach(), pairs.y).item(),
                rate=rate * BATCH,
                eta=(steps - step) / rate,
            )
