"""The loop of pre-training: seeded steps of one optimiser, warm-up, a cosine schedule, progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from metalab.progress import Progress
from metalab.tasks import seeded

Objective = Callable[[torch.Generator], tuple[Tensor, Callable[[], Tensor]]]
"""Returns the loss of one step's examples, and how to find their score, which is asked for seldom."""


def descend(
    optimiser: torch.optim.Optimizer,
    objective: Objective,
    steps: int,
    *,
    warm: int,
    examples: int,
    device: torch.device,
    seed: int,
    clip: tuple[list[nn.Parameter], float] | None = None,
) -> Iterator[Progress]:
    """Take ``steps`` steps, yielding "pretrain" events; ``examples`` is how many a step sees.

    The optimiser's learning rate is the peak, reached after ``warm`` steps. ``clip`` holds parameters and the
    largest norm of their gradients.
    """
    peak, started = optimiser.defaults["lr"], time.monotonic()
    for step in range(1, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = peak * min(1.0, step / warm) * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
        loss, score = objective(seeded(device, seed, "pretrain", step))
        optimiser.zero_grad()
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(*clip)
        optimiser.step()
        if step % 10 == 0 or step == steps:
            rate = step / (time.monotonic() - started)
            yield Progress(
                "pretrain",
                step,
                steps,
                loss=loss.item(),
                accuracy=score().item(),
                rate=rate * examples,
                eta=(steps - step) / rate,
            )
