"""Clicks on new campaigns: every method and baseline on the same held-out campaigns, by impressions known."""

from __future__ import annotations

import argparse

import numpy as np
import torch

from metalab.bandit import POLICIES, serve
from metalab.bench import recommended
from metalab.bench.held_out import aligned
from metalab.data import create_source
from metalab.data.event_source import EventSource
from metalab.evaluation import TEST_SEED, Measured, mean_interval
from metalab.metalearners.recommending import ADVERTS
from metalab.outcomes import area, calibration_error, counted
from metalab.shipped import load_trained
from metalab.tasks import Split, TaskShape, task_list

SERVED, REPEATED = (100, 500, 1000, 2000, 4000), 40
"""Viewers after whom regret is told, and repetitions of serving."""
QUERY = 300
"""Later impressions that a campaign is judged by, at most."""
SCORES = {"AUC": (1, 100.0, 1), "log-loss": (-1, 1.0, 4)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    recommended.add_arguments(parser, ADVERTS, [20, 100, 400], 240)
    parser.add_argument("--regret", action="store_true", help="instead: serve new campaigns while learning")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    if arguments.regret:
        return regret(arguments.seed)
    _, source, methods = recommended.made(arguments, ADVERTS)
    split = "validation" if arguments.validation else "test"
    for shot in arguments.shots:
        shape = TaskShape(1, shot, QUERY)
        tasks = min(arguments.tasks, len(source.eligible(split, shot)))
        scores = {"AUC": area, "log-loss": log_loss}
        values = recommended.scored(methods, source, shape, tasks, scores, split)
        further = pooled(methods, source, shape, tasks, split)
        title = f"{arguments.source}, {shot} impressions known"
        recommended.shown(arguments, *recommended.table(title, values, methods, SCORES, further))
    return 0


def regret(seed: int) -> int:
    """Print the regret of every policy over the same held-out campaigns and viewers."""
    held = load_trained("bayes-clicks")
    source, columns = create_source(held.config), [["after viewers", *map(str, SERVED)]]
    best = np.zeros(0)
    for one in serve(held.metalearner, source, steps=SERVED[-1], repetitions=REPEATED, seed=seed):
        best = one.regret[:, -1] if not best.size else best
        cells = ["{:.1f} ± {:.1f}".format(*mean_interval(one.regret[:, at - 1])) for at in SERVED]
        columns.append([POLICIES[one.policy], *cells])
        if one.policy != "meta":
            more, spread = mean_interval(one.regret[:, -1] - best)
            print(f"{POLICIES[one.policy]}: {more:+.1f} ± {spread:.1f} clicks missed more (paired)")
    print(f"regret (clicks missed), 10 new campaigns, {REPEATED} repetitions")
    print("\n".join(aligned(columns)))
    return 0


def log_loss(logits: np.ndarray, clicked: np.ndarray) -> float:
    """Return the mean cross-entropy, in nats an impression."""
    return float((np.logaddexp(0, logits) - clicked * logits).mean())


def pooled(
    methods: dict[str, Measured], source: EventSource, shape: TaskShape, tasks: int, split: Split
) -> dict[str, dict[str, float]]:
    """Return, over all impressions together: the relative cross-entropy (less than 1: better than knowing the
    mean rate of these very impressions), the calibration error, and the area under the curve."""
    held: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in methods}
    for batch in task_list(source, tasks, split, shape, TEST_SEED):
        for task in batch:
            for name, one in methods.items():
                with torch.no_grad():
                    held[name].append(tuple(counted(one.run(task, 0), task.query)))
    joined = {name: [np.concatenate(part) for part in zip(*rows, strict=True)] for name, rows in held.items()}
    found: dict[str, dict[str, float]] = {"RCE": {}, "ECE": {}, "AUC of all": {}}
    for name, (logits, clicked) in joined.items():
        rate = clicked.mean().clip(1e-6, 1 - 1e-6)
        entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
        found["RCE"][name] = log_loss(logits, clicked) / entropy
        found["ECE"][name] = calibration_error(1 / (1 + np.exp(-logits)), clicked)
        found["AUC of all"][name] = area(logits, clicked)
    return found
