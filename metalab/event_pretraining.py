"""Step 2 for events: matrix factorisation of meta-train (Koren, Bell, Volinsky 2009), with features.

Each meta-train task has a free head; encoder and heads learn together from single events. What the heads are
like in the end is the prior from which adaptation starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from metalab.backbones.entities import SHRINK, Entities
from metalab.config import Config
from metalab.data.event_source import EventSource
from metalab.descent import descend
from metalab.outcomes import outcome_loss
from metalab.progress import Progress
from metalab.tasks import Examples, seeded

BATCH, RATE, WARM = 8192, 1e-2, 50
UNKNOWN = 0.1
"""How often an entity is shown as an unknown one, so that its features learn to stand for it."""


def pretrain_entities(backbone: Entities, source: EventSource, config: Config) -> Iterator[Progress]:
    """Fit ``backbone`` to the meta-train events of ``source``, in place, yielding progress. Seeded."""
    backbone.fit_to(source, config.seed)
    backbone.statistics(source)
    device, events = backbone.input_mean.device, source.events
    rows = source.train_rows()
    place = np.full(len(events), -1)
    place[source.factored] = np.arange(len(source.factored))
    all_tasks = events.task_of()
    start = 0.1 * torch.randn(
        len(source.factored), backbone.width + 1, generator=seeded("cpu", config.seed, "heads")
    )
    heads, common = (
        nn.Parameter(start.to(device)),
        nn.Parameter(torch.zeros(backbone.width + 1, device=device)),
    )
    strength = torch.tensor(backbone.penalties, device=device)
    optimiser = torch.optim.Adam([*backbone.parameters(), heads, common], lr=RATE)

    def drawn(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return events of one batch, their tasks' places, outcomes, and what else is known of them."""
        at = torch.randint(len(rows), (BATCH,), generator=generator, device=device).cpu().numpy()
        chosen = rows[at]
        task = all_tasks[chosen]
        held = source.examples(chosen, task)
        base = backbone.offset + _others_mean(backbone, held)
        unknown = torch.rand(BATCH, generator=generator, device=device) < UNKNOWN
        x = held.x.clone()
        x[:, 0] = torch.where(unknown, 0, x[:, 0])
        base = torch.where(unknown, backbone.offset, base)
        return x, torch.from_numpy(place[task]).to(device), held.y[:, 0], base

    def objective(generator: torch.Generator) -> tuple[Tensor, Callable[[], Tensor]]:
        x, task, y, base = drawn(generator)
        features = backbone(x)
        head = heads[task]
        outputs = base + (backbone.with_one(features) * (common + head)).sum(-1)
        loss = outcome_loss(outputs, y, backbone.clicks).mean()
        codes = backbone.codes[x[:, 0].long()]
        penalty = torch.stack([part.square().sum(-1).mean() for part in (features, head, codes)])
        return loss + (penalty * strength).sum(), lambda: (-loss).exp()

    yield from descend(
        optimiser,
        objective,
        config.pretrain_steps,
        warm=WARM,
        examples=BATCH,
        device=device,
        seed=config.seed,
    )
    with torch.no_grad():
        centred = heads - heads.mean(0)
        covariance = centred.t() @ centred / len(heads) + 1e-3 * torch.eye(backbone.width + 1, device=device)
        backbone.prior_mean.copy_(common + heads.mean(0))
        backbone.prior_root.copy_(torch.linalg.cholesky(covariance))
        x, task, y, base = drawn(seeded(device, config.seed, "noise"))
        outputs = base + (backbone.with_one(backbone(x)) * (common + heads[task])).sum(-1)
        if not backbone.clicks:
            backbone.noise.copy_((outputs - y).square().mean())


def _others_mean(backbone: Entities, held: Examples) -> Tensor:
    """Return the known mean of each event's entity (n,) without that event itself: else it would be learnt to
    trust means of few events too much."""
    if backbone.clicks:
        return backbone.known_mean(held.x)
    count = backbone.met[held.x[:, 0].long()]
    own = held.y[:, 0] - backbone.offset
    total = backbone.known_mean(held.x) * (count + SHRINK)
    return (total - own) / (count - 1 + SHRINK)
