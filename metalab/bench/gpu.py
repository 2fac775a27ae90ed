"""How fast meta-training runs on a GPU: methods, ways of execution and task batches, in one run.

Against learn2learn's loop over tasks (:mod:`metalab.bench.learn2learn_peer`) on the same GPU, and against
metalab on the CPU beside it. The gradient of every way is compared with that of the CPU in float64.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metalab.bench.speed import MIB, Case, double
from metalab.errors import ConfigError
from metalab.execution import choose_device, on_cpu, task_runner
from metalab.storage import atomic_write, to_json
from metalab.worker import environment

CASES = (
    Case("maml", 4),
    Case("maml", 4, steps=5),
    Case("maml", 4, network="mlp", way=1, shot=10),
    *(Case(method, 4) for method in ("protonet", "anil", "r2d2")),
)
TASKS = (4, 16, 64, 256)
WAYS = ("vmap", "graph", "graph, TF32", "graph, bf16")
"""Strategies of :mod:`metalab.execution`; the last two with convolutions and products of lower precision."""
PEER, CPU, LOOP = "learn2learn", "CPU", "loop"
LOOPED = 16
"""Tasks at most where one is done after the other: more take as long each."""
FEWEST, SECONDS = 3, 0.5
"""Turns of each way, at least, and seconds after which no further one begins."""
EXACT = 4
"""Tasks whose gradient is compared with the exact one."""


@dataclass(frozen=True)
class Speed:
    """One way measured: median seconds of a step, MiB at its peak, and how far its gradient is from exact.

    ``images`` a second counts those of support and query; ``difference`` is a relative norm.
    """

    case: str
    way: str
    tasks: int
    seconds: float
    images: float
    memory: float
    difference: float


def speeds(case: Case, tasks: tuple[int, ...], device: torch.device) -> Iterator[Speed]:
    """Yield every way of ``case`` with every number of ``tasks``."""
    exact = _exact(case)
    for count in tasks:
        sized = replace(case, meta_batch=count)
        for way in (*((PEER, CPU, LOOP) if count <= LOOPED else ()), *WAYS):
            with _precision(way), suppress(torch.OutOfMemoryError):  # what does not fit has no row
                yield _speed(sized, way, torch.device("cpu") if way == CPU else device, exact)
            gc.collect()  # a capture that failed holds its memory in a cycle
            torch.cuda.empty_cache()


def _exact(case: Case) -> list[Tensor]:
    learner = case.learner().double()
    with task_runner("loop") as runner:
        batch = double(replace(case, meta_batch=EXACT).batch())
        return runner.meta_gradient(learner, batch, list(learner.parameters()))[2]


def _speed(case: Case, way: str, device: torch.device, exact: list[Tensor]) -> Speed:
    few, batch = replace(case, meta_batch=EXACT).batch().to(device), case.batch().to(device)
    if way == PEER:
        peer = case.peer().to(device)
        seconds, memory = _timed(lambda: peer.step(batch), device)
        difference = float("nan")
    else:
        learner = case.learner().to(device)
        parameters = list(learner.parameters())
        strategy = on_cpu(learner)[1] if way == CPU else way.split(",")[0]
        with task_runner(strategy, device) as runner:
            difference = _distance(runner.meta_gradient(learner, few, parameters)[2], exact)
            seconds, memory = _timed(lambda: runner.meta_gradient(learner, batch, parameters), device)
    images = case.meta_batch * case.way * (case.shot + case.query)
    return Speed(str(case), way, case.meta_batch, seconds, images / seconds, memory, difference)


def _timed(step: Callable[[], Any], device: torch.device) -> tuple[float, float]:
    """Return median seconds of ``step`` and, on a GPU, MiB at its peak."""
    cuda = device.type == "cuda"
    for _ in range(2):
        step()
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    times: list[float] = []
    while len(times) < FEWEST or (sum(times) < SECONDS and len(times) < 50):
        started = time.perf_counter()
        step()
        if cuda:
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return float(np.median(times)), torch.cuda.max_memory_allocated(device) / MIB if cuda else float("nan")


@contextmanager
def _precision(way: str) -> Iterator[None]:
    """Compute as ``way`` says, and afterwards as before."""
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = way.endswith("TF32")
    try:
        with torch.autocast("cuda", torch.bfloat16, enabled=way.endswith("bf16"), cache_enabled=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32


def _distance(found: list[Tensor], exact: list[Tensor]) -> float:
    ours, theirs = (torch.cat([g.detach().cpu().double().flatten() for g in held]) for held in (found, exact))
    return float((ours - theirs).norm() / theirs.norm())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the benchmark."""
    parser.add_argument("--device", default="auto", help="auto, cuda, cuda:1, mps (default: auto)")
    parser.add_argument(
        "--tasks",
        type=int,
        nargs="+",
        default=TASKS,
        help="tasks of a step, ascending (default: 4 16 64 256)",
    )
    parser.add_argument("--only", action="append", help="cases whose name contains this")
    parser.add_argument("--output", type=Path, metavar="FILE", help="results and machine as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, and write the results; raises :class:`ConfigError` where there is no GPU."""
    device = choose_device(arguments.device)
    if device.type == "cpu":
        raise ConfigError("this machine has no GPU to measure", where="bench gpu")
    print(environment(device)["device"], flush=True)
    rows: list[Speed] = []
    for case in CASES:
        if not all(part in str(case) for part in arguments.only or ()):
            continue
        peer: Speed | None = None
        for row in speeds(case, tuple(arguments.tasks), device):
            rows.append(row)
            peer = row if row.way == PEER else peer
            ratio = f"{row.images / peer.images:.2f} times as fast as learn2learn's loop, " if peer else ""
            print(
                f"{row.case}: {row.way}: {1000 * row.seconds:.1f} ms, {row.images:,.0f} images a second, "
                f"{ratio}{row.memory:.0f} MiB, gradient differs by {row.difference:.0e}",
                flush=True,
            )
            if arguments.output:  # after every row: what is measured stays
                held = {"environment": environment(device), "rows": [asdict(row) for row in rows]}
                atomic_write(arguments.output, to_json(held, indent=1))
    return 0
