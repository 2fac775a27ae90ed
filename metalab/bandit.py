"""Serving new advertisements online: clicks come in, policies learn, and regret tells what learning cost.

Simulated, because only there is known what another choice would have brought: held-out campaigns of
:mod:`metalab.data.campaigns` compete for each viewer, at the first place of the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap

from metalab.baselines_adverts import beta_prior
from metalab.data.campaigns import context, world
from metalab.data.event_source import EventSource
from metalab.metalearners.posterior import ClickPosterior
from metalab.tasks import Examples

POLICIES = {
    "meta": "Thompson sampling, meta-learnt posterior",
    "un-adapted": "Un-adapted model, never learns",
    "beta": "Thompson sampling on each advertisement's own rate",
    "greedy": "Best own rate so far, one in ten at random",
    "random": "At random",
}
EXPLORE = 0.1


@dataclass(frozen=True, eq=False)
class Served:
    """What a policy did: ``regret`` (repetitions, steps), true chances of a click missed so far, and
    ``clicks`` (repetitions,)."""

    policy: str
    regret: NDArray[np.float64]
    clicks: NDArray[np.int64]


def serve(
    learner: ClickPosterior,
    source: EventSource,
    *,
    advertisements: int = 10,
    steps: int = 2000,
    repetitions: int = 20,
    every: int = 50,
    seed: int = 0,
) -> Iterator[Served]:
    """Yield what each of :data:`POLICIES` does with the same held-out campaigns and viewers.

    In each repetition ``advertisements`` campaigns are drawn; posteriors are renewed ``every`` so many steps.
    """
    truth, rng = world(), np.random.default_rng(seed)
    held = source.tasks["test"]
    chosen = np.stack([rng.choice(held, advertisements, replace=False) for _ in range(repetitions)])
    viewers = rng.choice(len(truth.age), (repetitions, steps), p=truth.activity / truth.activity.sum())
    hours, passed = rng.random((repetitions, steps)), np.arange(steps) / steps
    chances = truth.chances(
        chosen[:, None, :],
        viewers[:, :, None],
        np.zeros((1, 1, 1), int),
        hours[:, :, None],
        passed[None, :, None],
    )  # (repetitions, steps, advertisements)
    best = chances.max(-1)
    for policy in POLICIES:
        drawn = np.random.default_rng((seed, list(POLICIES).index(policy)))
        choice, clicked = _followed(policy, learner, source, chosen, viewers, hours, chances, every, drawn)
        got = np.take_along_axis(chances, choice[..., None], -1)[..., 0]
        yield Served(policy, np.cumsum(best - got, 1), clicked.sum(1))


@torch.no_grad()
def _followed(
    policy: str,
    learner: ClickPosterior,
    source: EventSource,
    chosen: NDArray[np.int64],
    viewers: NDArray[np.int64],
    hours: NDArray[np.float64],
    chances: NDArray[np.float64],
    every: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return which advertisement a policy showed (repetitions, steps), and what was clicked."""
    repetitions, steps, count = chances.shape
    choice = np.zeros((repetitions, steps), dtype=np.int64)
    clicked = np.zeros((repetitions, steps), dtype=bool)
    shown, clicks = np.zeros((repetitions, count)), np.zeros((repetitions, count))
    first, other = beta_prior(source)
    modelled = policy in ("meta", "un-adapted")
    inputs = _inputs(source, chosen, viewers, hours) if modelled else None
    means, roots = _heads(learner, None, repetitions, count) if modelled else (None, None)
    everyone = np.arange(repetitions)
    for step in range(steps):
        if modelled:
            if policy == "meta" and step and step % every == 0:
                means, roots = _heads(
                    learner, _memory(inputs, choice[:, :step], clicked[:, :step]), repetitions, count
                )
            heads = means
            if policy == "meta":
                noise = torch.from_numpy(rng.normal(size=means.shape).astype(np.float32))
                heads = means + (roots @ noise.unsqueeze(-1))[..., 0]
            rows = learner.backbone.with_one(learner.backbone(inputs[:, step]))
            value = (rows * heads).sum(-1).numpy()
        elif policy == "beta":
            value = rng.beta(first + clicks, other + shown - clicks)
        elif policy == "greedy":
            value = (first + clicks) / (first + other + shown)
            value = np.where(rng.random((repetitions, 1)) < EXPLORE, rng.random(value.shape), value)
        else:
            value = rng.random((repetitions, count))
        now = value.argmax(1)
        hit = rng.random(repetitions) < chances[everyone, step, now]
        choice[:, step], clicked[:, step] = now, hit
        shown[everyone, now] += 1
        clicks[everyone, now] += hit
    return choice, clicked


def _inputs(
    source: EventSource, chosen: NDArray[np.int64], viewers: NDArray[np.int64], hours: NDArray[np.float64]
) -> Tensor:
    """Return inputs (repetitions, steps, advertisements, 1 + features) of each viewer and advertisement."""
    repetitions, steps = viewers.shape
    count = chosen.shape[1]
    shape = (repetitions, steps, count)
    places = context(np.zeros(repetitions * steps, dtype=int), hours.ravel())
    around = np.broadcast_to(places.reshape(repetitions, steps, 1, -1), (*shape, places.shape[1]))
    entity = np.broadcast_to(viewers[:, :, None], shape)
    task = np.broadcast_to(chosen[:, None, :], shape)
    return torch.from_numpy(source.described(entity, task, around))


def _memory(inputs: Tensor, choice: NDArray[np.int64], clicked: NDArray[np.bool_]) -> Examples:
    """Return each advertisement's impressions so far: x (repetitions, advertisements, most, ·), padded."""
    repetitions, _, count, width = inputs.shape
    most = max(int((choice == at).sum(1).max()) for at in range(count))
    x = torch.zeros(repetitions, count, max(1, most), width)
    y, mask = torch.zeros(*x.shape[:3], 1), torch.zeros(x.shape[:3], dtype=torch.bool)
    for row in range(repetitions):
        for at in range(count):
            steps = np.flatnonzero(choice[row] == at)
            x[row, at, : len(steps)] = inputs[row, steps, at]
            y[row, at, : len(steps), 0] = torch.from_numpy(clicked[row, steps].astype(np.float32))
            mask[row, at, : len(steps)] = True
    return Examples(x, y, mask)


def _heads(
    learner: ClickPosterior, memory: Examples | None, repetitions: int, count: int
) -> tuple[Tensor, Tensor]:
    """Return mean (repetitions, advertisements, d) and root (…, d, d) of each advertisement's head."""
    if memory is None:
        state = learner.prior()
        return state["head"].expand(repetitions, count, -1), state["root"].expand(repetitions, count, -1, -1)

    def one(x: Tensor, y: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        state = learner.adapt(Examples(x, y, mask), 1)
        return state["head"], state["root"]

    return vmap(vmap(one))(memory.x, memory.y, memory.mask)
