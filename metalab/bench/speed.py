"""Speed and memory of meta-training against learn2learn, interleaved in one run on this machine.

Every case first checks that both sides compute the same gradients (in float64), then times them in turns, in
float32 and each at every thread setting worth trying; the ratio compares the best of each. Memory is measured
in a fresh process a side. See :mod:`metalab.bench.learn2learn_peer` for what stands for learn2learn.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metalab.api import create_metalearner
from metalab.backbones import MLP, seeded_initialisation
from metalab.backbones.conv4 import Conv4
from metalab.bench.learn2learn_peer import Peer
from metalab.config import Config
from metalab.data import create_source
from metalab.data.sinusoid import sinusoids
from metalab.execution import on_cpu, task_runner
from metalab.metalearners import MetaLearner
from metalab.tasks import Examples, TaskBatch, TaskShape, seeded

MIB = 2**20
RATE = {"cnn4": 0.1, "mlp": 0.01}
"""Inner rate: it changes no timing, only keeps the inner loop from diverging."""


@dataclass(frozen=True)
class Case:
    """What is measured: a method, a network, and the sizes of the tasks. ``query`` is per class."""

    method: str
    meta_batch: int
    steps: int = 1
    network: str = "cnn4"
    way: int = 5
    shot: int = 1
    query: int = 15
    size: int = 28

    def __str__(self) -> str:
        steps = (
            f", {self.steps} inner step{'s' * (self.steps > 1)}" if self.method in ("maml", "anil") else ""
        )
        if self.network == "mlp":
            return f"{self.method} sinusoid, {self.meta_batch} tasks, K={self.shot}{steps}"
        return f"{self.method} Conv4-64, {self.meta_batch} tasks, {self.way}-way {self.shot}-shot{steps}"

    def learner(self) -> MetaLearner:
        """Return metalab's meta-learner with weights that hide no mistake, the same every time."""
        with seeded_initialisation(0):
            # "batch": the statistics of the images at hand, which is what learn2learn's network does.
            backbone = MLP() if self.network == "mlp" else Conv4(1, self.size, 64, "batch")
        options: dict[str, Any] = {}
        if self.method in ("maml", "anil"):
            options = {"inner_steps": self.steps, "inner_lr": RATE[self.network], "head": "shared"}
        learner = create_metalearner(self.method, backbone, **options)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in learner.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        return learner

    def peer(self) -> Peer:
        """Return the other side, with the weights of :meth:`learner`."""
        peer = Peer(self.method, self.network, self.size, self.way, self.steps, RATE[self.network])
        peer.load(self.learner())
        return peer

    def batch(self) -> TaskBatch:
        """Return a meta-batch; images are noise, since their content changes no timing."""
        generator = torch.Generator().manual_seed(1)
        if self.network == "mlp":
            return sinusoids(self.meta_batch, self.shot, self.shot, generator)

        def examples(each: int) -> Examples:
            y = torch.arange(self.way).repeat(each).expand(self.meta_batch, -1)
            return Examples(torch.rand(*y.shape, 1, self.size, self.size, generator=generator), y)

        return TaskBatch(examples(self.shot), examples(self.query), self.way)


CASES = (
    *(Case("maml", tasks, steps) for tasks in (16, 32) for steps in (1, 5)),
    Case("maml", 25, network="mlp", way=1, shot=10),
    *(Case(method, 16) for method in ("protonet", "anil", "r2d2")),
)
GROWTH = Case("maml", 8)
GROWS = {"meta_batch": (4, 8, 16, 32, 64), "steps": (1, 2, 5, 10), "way": (2, 5, 10, 20), "shot": (1, 5, 10)}


@dataclass(frozen=True)
class Comparison:
    """One case measured. Seconds are medians for a meta-batch; memory is MiB above an idle process."""

    case: str
    peer: str
    ratio: float
    low: float
    high: float
    seconds: float
    peer_seconds: float
    memory: float
    peer_memory: float
    difference: float
    """Largest relative difference (by norm) of a gradient, in float64."""
    settings: dict[str, float]
    """Median seconds of every strategy and thread setting tried."""


def gradient_difference(case: Case) -> float:
    """Return how far the two sides' gradients are apart in float64: the largest relative norm."""
    case = replace(case, meta_batch=2)
    learner, peer, batch = case.learner().double(), case.peer().double(), double(case.batch())
    names = [name for name, _ in learner.named_parameters()]
    with task_runner(on_cpu(learner)[1]) as runner:
        own = runner.meta_gradient(learner, batch, list(learner.parameters()))[2]
    peer.step(batch)
    theirs = peer.gradients()
    whole = torch.stack([gradient.norm() for gradient in theirs.values()]).norm()
    return max(
        ((gradient - theirs[name]).norm() / whole).item() for name, gradient in zip(names, own, strict=True)
    )


def compare(case: Case, repeats: int, memory: bool = True) -> Comparison:
    """Measure one case, ``repeats`` turns of every setting of both sides."""
    difference = gradient_difference(case)
    learner, peer, batch = case.learner(), case.peer(), case.batch()
    parameters = list(learner.parameters())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    turns: dict[str, Callable[[], Any]] = {}
    before = torch.get_num_threads()
    try:
        with ExitStack() as stack:
            # Of the first two, a run of some length takes the quicker by itself.
            for strategy in (*on_cpu(learner), "loop"):
                runner = stack.enter_context(task_runner(strategy))
                step = partial(runner.meta_gradient, learner, batch, parameters)
                turns[f"metalab {strategy}"] = _with_threads(1, step)
            for threads in sorted({1, cores}):
                turns[f"peer {threads} threads"] = _with_threads(threads, partial(peer.step, batch))
            times = _interleaved(turns, repeats)
    finally:
        torch.set_num_threads(before)
    own, best = (_quickest(times, names) for names in (list(times)[:2], [n for n in times if "peer" in n]))
    ratio, low, high = _ratio(times[best], times[own])
    sides = [_peak(case, side) if memory else float("nan") for side in ("own", "peer")]
    return Comparison(
        str(case),
        f"{peer.source}, {best.removeprefix('peer ')}",
        ratio,
        low,
        high,
        float(np.median(times[own])),
        float(np.median(times[best])),
        *sides,
        difference,
        {name: float(np.median(values)) for name, values in times.items()},
    )


def _quickest(times: dict[str, list[float]], names: list[str]) -> str:
    return min(names, key=lambda name: np.median(times[name]))


def growth(repeats: int = 3) -> Iterator[dict[str, Any]]:
    """Yield rows of seconds and memory for one size changed at a time, the others as in :data:`GROWTH`."""
    for name, values in GROWS.items():
        for value in values:
            case = replace(GROWTH, **{name: value})
            yield {
                "grows": name,
                "value": value,
                "seconds": _seconds(case, repeats),
                "memory": _peak(case, "own"),
            }


def _seconds(case: Case, repeats: int) -> float:
    learner, batch = case.learner(), case.batch()
    parameters = list(learner.parameters())
    with task_runner(on_cpu(learner)[1]) as runner:
        times = _interleaved({"own": lambda: runner.meta_gradient(learner, batch, parameters)}, repeats)
    return float(np.median(times["own"]))


def sampling_share(repeats: int = 9) -> float:
    """Return the share of a step of 16 tasks (MAML, 1 step) that drawing glyph tasks beside it takes."""
    config = Config.create(metalearner="maml", way=5, shot=1)
    source, shape = create_source(config), TaskShape(5, 1, 15)
    learner = replace(CASES[0], size=config.image_size).learner()
    parameters = list(learner.parameters())
    batch = source.sample(16, "train", shape, seeded("cpu", 0))
    with task_runner(on_cpu(learner)[1]) as runner:

        def step() -> None:
            runner.meta_gradient(learner, batch, parameters)

        def sampled() -> None:
            ahead = runner.submit(source.sample, 16, "train", shape, seeded("cpu", 1))
            step()
            ahead.result()

        times = _interleaved({"step": step, "sampled": sampled}, repeats)
    return 1 - float(np.median(times["step"]) / np.median(times["sampled"]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the benchmark."""
    parser.add_argument("--quick", action="store_true", help="two cases, three turns, no memory")
    parser.add_argument("--repeats", type=int, default=9, help="turns a case (default: 9)")
    parser.add_argument("--only", action="append", help="cases whose name contains this")
    parser.add_argument("--growth", type=Path, metavar="FILE", help="how cost grows, as a figure (HTML)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a result")
    parser.add_argument("--side", choices=("own", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    if arguments.side:
        print(_own_peak(Case(**json.loads(arguments.case)), arguments.side))
        return 0
    for text, found in _work(arguments):
        print(json.dumps(found) if arguments.json else text, flush=True)
    return 0


def _work(arguments: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    cases = [case for case in CASES if all(part in str(case) for part in arguments.only or ())]
    repeats = 3 if arguments.quick else arguments.repeats
    for case in [CASES[0], CASES[4]] if arguments.quick else cases:
        found = compare(case, repeats, memory=not arguments.quick)
        tried = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in found.settings.items())
        yield (
            f"{found.case}: {found.ratio:.2f} times as fast as {found.peer} (95 % {found.low:.2f} to "
            f"{found.high:.2f}, {repeats} turns); memory {found.memory:.0f} against {found.peer_memory:.0f} "
            f"MiB; gradients differ by {found.difference:.0e}\n    {tried}",
            asdict(found),
        )
    if not arguments.quick and not arguments.only:
        share = sampling_share()
        yield (
            f"drawing the tasks, beside the step, takes {share:.1%} of it (16 tasks)",
            {"sampling_share": share},
        )
    if arguments.growth:
        from metalab.plots import growth_curves

        rows = []
        for row in growth():
            rows.append(row)
            yield (
                f"{row['grows']} {row['value']}: {row['seconds']:.3f} s, {row['memory']:.0f} MiB",
                row,
            )
        growth_curves(rows).write_html(arguments.growth)


def double(batch: TaskBatch) -> TaskBatch:
    """Return ``batch`` in float64."""
    parts = [
        replace(part, x=part.x.double(), y=part.y.double() if part.y.is_floating_point() else part.y)
        for part in (batch.support, batch.query)
    ]
    return TaskBatch(*parts, batch.way)


def _with_threads(threads: int, do: Callable[[], Any]) -> Callable[[], Any]:
    def turn() -> None:
        torch.set_num_threads(threads)
        do()

    return turn


def _interleaved(turns: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Return seconds a turn; one turn of each warms up, then all take turns ``repeats`` times."""
    times: dict[str, list[float]] = {name: [] for name in turns}
    for repeat in range(repeats + 1):
        for name, turn in turns.items():
            started = time.perf_counter()
            turn()
            if repeat:
                times[name].append(time.perf_counter() - started)
    return times


def _ratio(theirs: list[float], own: list[float]) -> tuple[float, float, float]:
    """Return the median over the turns of the ratio of times, with a bootstrapped 95 % interval."""
    ratios = np.array(theirs) / np.array(own)
    drawn = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(np.median(ratios)), float(low), float(high)


def _peak(case: Case, side: str) -> float:
    """Return :func:`_own_peak` of a fresh process."""
    command = [sys.executable, "-m", "metalab", "bench", "speed", "--side", side, "--case"]
    done = subprocess.run(
        [*command, json.dumps(asdict(case))], check=True, capture_output=True, text=True, timeout=600
    )
    return float(done.stdout)


def _own_peak(case: Case, side: str) -> float:
    """Return the peak of this process in MiB above the idle one, after two meta-gradients of ``side``."""
    learner, peer, batch = case.learner(), case.peer(), case.batch()
    idle = _high_water()
    if side == "peer":
        for _ in range(2):
            peer.step(batch)
    else:
        with task_runner(on_cpu(learner)[1]) as runner:
            for _ in range(2):
                runner.meta_gradient(learner, batch, list(learner.parameters()))
    return _high_water() - idle


def _high_water() -> float:
    """Return the peak resident memory of this process in MiB.

    From /proc where there is one: ``ru_maxrss`` of a child starts at its parent's size on Linux.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MIB if sys.platform == "darwin" else 1024)
