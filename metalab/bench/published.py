"""Published numbers, run again in their papers' settings: sinusoid regression, and Omniglot's protocols."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from metalab.api import create_metalearner
from metalab.backbones import MLP, create_backbone, seeded_initialisation
from metalab.config import Config
from metalab.data import create_source, create_test_source
from metalab.data.sinusoid import sinusoids
from metalab.evaluation import evaluate, mean_interval
from metalab.execution import task_runner
from metalab.pretraining import input_statistics
from metalab.tasks import TaskShape, seeded
from metalab.training import Trainer

SINUSOID = {("maml", 5): 1.13, ("maml", 10): 0.77, ("metasgd", 5): 0.90, ("metasgd", 10): 0.53}
"""Mean squared error after one step (Li et al. 2017, table 1)."""
SINUSOID_INTERVALS = {("maml", 5): 0.18, ("maml", 10): 0.11, ("metasgd", 5): 0.16, ("metasgd", 10): 0.09}
OMNIGLOT = {
    ("maml", 5, 1): 98.7,
    ("maml", 5, 5): 99.9,
    ("maml", 20, 1): 95.8,
    ("maml", 20, 5): 98.9,
    ("protonet", 5, 1): 98.8,
    ("protonet", 5, 5): 99.7,
    ("protonet", 20, 1): 96.0,
    ("protonet", 20, 5): 98.9,
}
"""Accuracy in % with the full data, 1,200 characters train (tables 1 of Finn and of Snell et al. 2017)."""
META_BATCH, RATE = 25, 1e-3
INNER_RATE = 0.01
QUERY = 100
"""Points on which a sinusoid is judged."""


@dataclass(frozen=True)
class Sinusoid:
    """Mean squared error after one step over ``tasks`` held-out sinusoids, half its 95 % interval."""

    method: str
    shot: int
    iterations: int
    seed: int
    tasks: int
    error: float
    interval: float
    published: float
    published_interval: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two protocols and their flags."""
    protocols = parser.add_subparsers(dest="protocol", required=True, metavar="PROTOCOL")
    sine = protocols.add_parser("sinusoid", help="MAML's regression benchmark: MSE after one gradient step")
    sine.add_argument("--method", action="append", choices=("maml", "metasgd"), help="default: both")
    sine.add_argument("--shot", action="append", type=int, choices=(5, 10), help="default: 5 and 10")
    sine.add_argument(
        "--iterations", type=int, default=60_000, help="outer steps (default: the papers' 60000)"
    )
    sine.add_argument("--tasks", type=int, default=600, help="held-out sinusoids (default: 600)")
    omni = protocols.add_parser("omniglot", help="5-way and 20-way, 1- and 5-shot, on any Omniglot folder")
    omni.add_argument("--data", type=Path, required=True, help="folder or zip that trains (and is split)")
    omni.add_argument(
        "--test-data", type=Path, help="folder or zip that is meta-test only, in place of a split"
    )
    omni.add_argument(
        "--exclude", action="append", default=[], help="an alphabet of --test-data to leave out"
    )
    omni.add_argument("--method", choices=("maml", "protonet"), default="protonet")
    omni.add_argument("--way", type=int, choices=(5, 20), default=5)
    omni.add_argument("--shot", type=int, choices=(1, 5), default=1)
    omni.add_argument("--steps", type=int, help="outer steps (default: the papers', hours on a CPU)")
    omni.add_argument("--meta-batch", type=int, help="tasks a step (default: the papers')")
    omni.add_argument("--tasks", type=int, default=600, help="held-out tasks (default: 600)")
    for protocol in (sine, omni):
        protocol.add_argument("--seed", type=int, default=0)
        protocol.add_argument("--json", action="store_true", help="print one JSON object a result")


def run(arguments: argparse.Namespace) -> int:
    """Train, measure, and print each result beside the published one."""
    work = _sinusoids(arguments) if arguments.protocol == "sinusoid" else _omniglot(arguments)
    for text, found in work:
        print(json.dumps(found) if arguments.json else text, flush=True)
    return 0


def _sinusoids(arguments: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    for method in arguments.method or ("maml", "metasgd"):
        for shot in arguments.shot or (5, 10):
            found = sinusoid(method, shot, arguments.iterations, arguments.tasks, arguments.seed)
            yield (
                f"sinusoid {method} K={shot}: {found.error:.2f} ± {found.interval:.2f} after one step "
                f"({found.tasks} tasks, {found.iterations} iterations, seed {found.seed}); published "
                f"{found.published:.2f} ± {found.published_interval:.2f}",
                asdict(found),
            )


def sinusoid(method: str, shot: int, iterations: int, tasks: int, seed: int) -> Sinusoid:
    """Meta-train on sinusoids in the papers' setting and return the error after one step.

    A 1-40-40-1 network, 25 tasks an iteration with as many query as support points, Adam at 0.001, inner
    rate 0.01 (Meta-SGD: where the learnt rates start).
    """
    with seeded_initialisation(seed):
        backbone = MLP()
    options = {"inner_steps": 1, "inner_lr": INNER_RATE, "head": "shared"}
    learner = create_metalearner(method, backbone, seed=seed, **options)
    parameters = list(learner.parameters())
    optimiser = torch.optim.Adam(parameters, lr=RATE)
    with task_runner("batched") as runner:
        for step in range(iterations):
            batch = sinusoids(META_BATCH, shot, shot, seeded("cpu", seed, "sinusoid", step))
            gradients = runner.meta_gradient(learner, batch, parameters)[2]
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimiser.step()
        held_out = sinusoids(tasks, shot, QUERY, seeded("cpu", seed, "held-out"))
        errors = runner.accuracies(learner, held_out).numpy()
    error, interval = mean_interval(errors)
    published = SINUSOID[method, shot], SINUSOID_INTERVALS[method, shot]
    return Sinusoid(method, shot, iterations, seed, tasks, error, interval, *published)


def omniglot_config(arguments: argparse.Namespace) -> Config:
    """Return the papers' settings: 28×28 Conv4-64 from scratch, quarter turns as classes, mixed alphabets.

    MAML: 32 (20-way: 16) tasks of as many classes as the test, one inner step of 0.4 (20-way: five of 0.1),
    batch statistics, hence transductive. ProtoNet: one 60-way task a step, or as many classes as there are.
    """
    maml = arguments.method == "maml"
    inner = {"inner_steps": 1, "inner_lr": 0.4} if arguments.way == 5 else {"inner_steps": 5, "inner_lr": 0.1}
    steps = arguments.steps or (60_000 if maml else 20_000)
    config = Config.create(
        source="omniglot",
        data=arguments.data,
        episodes="mixed",
        image_size=28,
        pretrained="none",
        pretrain_steps=0,
        way=arguments.way,
        shot=arguments.shot,
        query=15 if arguments.shot == 1 else 5,
        metalearner=arguments.method,
        options={**inner, "head": "shared"} if maml else {},
        normalisation="batch" if maml else "running",
        train_query=arguments.shot if maml else 5,
        meta_batch=arguments.meta_batch or ({5: 32, 20: 16}[arguments.way] if maml else 1),
        steps=steps,
        validate_every=max(1, steps // 10),
        seed=arguments.seed,
    )
    largest = create_source(config).largest_way("train")
    return config.replace(train_way=arguments.way if maml else min(60, largest))


def _omniglot(arguments: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    config = omniglot_config(arguments)
    source = create_source(config)
    backbone = create_backbone(config)
    input_statistics(backbone, source, config.seed)
    learner = create_metalearner(arguments.method, backbone, seed=config.seed, **config.options)
    for _ in Trainer(learner, source, config).run():
        pass
    held_out = create_test_source(
        config, "omniglot", arguments.test_data or arguments.data, tuple(arguments.exclude)
    )
    shape = TaskShape(config.way, config.shot, config.query)
    *_, table = evaluate(learner, backbone, held_out, shape, arguments.tasks, baselines=False)
    row = table.rows[0]
    published = OMNIGLOT[arguments.method, config.way, config.shot]
    trained = len(source.class_names("train"))
    found = {
        **asdict(row),
        "way": config.way,
        "shot": config.shot,
        "steps": config.steps,
        "meta_batch": config.meta_batch,
        "train_classes": trained,
        "published": published / 100,
        "seed": config.seed,
    }
    kind = ", transductive" if row.transductive else ""
    text = (
        f"omniglot {arguments.method} {config.way}-way {config.shot}-shot: {100 * row.accuracy:.1f} ± "
        f"{100 * row.interval:.1f} % ({row.tasks} tasks{kind}; {trained} training classes with their turns, "
        f"{config.steps} steps of {config.meta_batch}); published {published} with 4,800 training classes"
    )
    yield text, found
