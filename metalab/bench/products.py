"""Products for new users: every method and baseline on the same held-out users, by the ratings known."""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch.func import vmap

from metalab.bench import recommended
from metalab.data import create_source
from metalab.data.event_source import EventSource
from metalab.evaluation import TEST_SEED, Measured
from metalab.metalearners.recommending import PRODUCTS, Recommending
from metalab.outcomes import ndcg
from metalab.own_events import held_out_user, rate
from metalab.shipped import load_trained, shipped
from metalab.tasks import Examples, Split, Task, TaskShape, seeded, task_list

QUERY, CATALOGUE_TASKS, LIST, LIKED = 50, 200, 10, 0.75
"""Ratings that a user is judged by, at most; users of whom the whole catalogue is put in order; places of
that list; the share of the scale from which a rating says that the product was liked."""
MANY = 10_000
"""Users that are adapted to at once."""
SCORES = {"NDCG@5": (1, 100.0, 1), "RMSE": (-1, 1.0, 3), "MAE": (-1, 1.0, 3)}
NO_RATINGS = ("popularity",)
"""Methods that order products without guessing ratings."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    recommended.add_arguments(parser, PRODUCTS, [5, 10, 20], 600)
    parser.add_argument(
        "--speed", action="store_true", help="instead: time to adapt to one user, and to 10,000"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    if arguments.speed:
        return speed()
    _, source, methods = recommended.made(arguments, PRODUCTS)
    split = "validation" if arguments.validation else "test"
    low, high = source.events.scale
    scores = {
        "NDCG@5": ndcg,
        "RMSE": lambda given, truth: float(np.sqrt(np.mean((given.clip(low, high) - truth) ** 2))),
        "MAE": lambda given, truth: float(np.abs(given.clip(low, high) - truth).mean()),
    }
    for shot in arguments.shots:
        shape = TaskShape(1, shot, QUERY)
        tasks = min(arguments.tasks, len(source.eligible(split, shot)))
        values = recommended.scored(methods, source, shape, tasks, scores, split)
        for name in NO_RATINGS:
            values[name][:, 1:] = np.nan
        further = catalogue(methods, source, shape, min(tasks, CATALOGUE_TASKS), split)
        title = f"{arguments.source}, {shot} ratings known"
        recommended.shown(arguments, *recommended.table(title, values, methods, SCORES, further))
    return 0


def speed() -> int:
    """Print how long the shipped models take for one user, with and without a list of ten, and for many."""
    for name in shipped(PRODUCTS):
        held = load_trained(name)
        source = create_source(held.config)
        users = [held_out_user(source, number, 10) for number in range(50)]
        times = [rate(held.metalearner, source, user).seconds for user in users]
        batch = source.sample(MANY, "test", TaskShape(1, 10, 1), seeded("cpu", 0, "speed"))

        def one(x: torch.Tensor, y: torch.Tensor, learner: Recommending = held.metalearner) -> torch.Tensor:
            return learner.adapt(Examples(x, y), 1)["head"]

        with torch.no_grad():
            started = time.perf_counter()
            heads = vmap(one)(batch.support.x, batch.support.y)
            seconds = time.perf_counter() - started
        print(
            f"{name}: one user, 10 ratings: median {1000 * np.median(times):.1f} ms, slowest "
            f"{1000 * max(times):.1f} ms; {len(heads)} users in one batch: {seconds:.2f} s, "
            f"{len(heads) / seconds:,.0f} users a second"
        )
    return 0


def catalogue(
    methods: dict[str, Measured], source: EventSource, shape: TaskShape, tasks: int, split: Split
) -> dict[str, dict[str, float]]:
    """Return recall in the first :data:`LIST` places of the catalogue, and how much of it is ever shown.

    Of products that the user met besides the support set, those rated high are to be found.
    """
    events = source.events
    known = np.flatnonzero(source.known)
    low, high = events.scale
    hits: dict[str, list[float]] = {name: [] for name in methods}
    seen: dict[str, set[int]] = {name: set() for name in methods}
    for batch in task_list(source, tasks, split, shape, TEST_SEED):
        for task in batch:
            user = int(task.classes[0])
            rows = events.rows(user)
            support = set(task.support.x[:, 0].long().tolist())
            offered = known[[number not in support for number in source.known[known].tolist()]]
            high_rated = events.entity[rows][events.outcome[rows] >= low + LIKED * (high - low)]
            wanted = set(high_rated.tolist()) & set(offered.tolist())
            if not wanted:
                continue
            none = np.zeros((len(offered), events.context.shape[1]), np.float32)
            x = torch.from_numpy(source.described(offered, np.full(len(offered), user), none))
            asked = Task(task.support, Examples(x, torch.zeros(len(x), 1)), 1)
            for name, one in methods.items():
                with torch.no_grad():
                    best = offered[one.run(asked, 0)[:, 0].topk(min(LIST, len(offered))).indices.numpy()]
                seen[name] |= set(best.tolist())
                hits[name].append(len(wanted & set(best.tolist())) / min(LIST, len(wanted)))
    return {
        f"Recall@{LIST}": {name: float(np.mean(held)) for name, held in hits.items()},
        "coverage": {name: len(held) / len(known) for name, held in seen.items()},
    }
