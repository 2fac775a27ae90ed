"""Before a run starts: how long it will take and how much memory, from a dry run of two steps.

The dry run is a process of its own, so that its peak memory is that of training.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from metalab.config import Config
from metalab.errors import JobError

WARM, TIMED = 1, 2
"""Training steps that warm up and that are timed."""
EVALUATED = 8
"""Held-out tasks that are timed."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of each stage by name (what early stopping may save is not known), and peak memory in bytes."""

    seconds: dict[str, float]
    memory: int

    @property
    def total(self) -> float:
        """Seconds of the whole run."""
        return sum(self.seconds.values())


def estimate(config: Config, timeout: float = 300) -> Estimate:
    """Return the :class:`Estimate` of ``config``; takes some seconds.

    Raises :class:`JobError` with the reason when the dry run fails, for example for want of data.
    """
    command = [sys.executable, "-m", "metalab.estimate"]
    try:
        done = subprocess.run(
            command, input=config.to_json(), capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JobError(f"the dry run failed ({error})", where="estimate") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise JobError(lines[-1], where="dry run")
    return Estimate(**json.loads(done.stdout))


class BackgroundEstimator:
    """Estimates one configuration after another beside the caller, and remembers the latest of each."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "estimate")
        self._asked: dict[str, Future[Estimate]] = {}

    def submit(self, config: Config) -> None:
        """Ask for the estimate of ``config``, anew unless it is being made just now."""
        key = config.to_json()
        if key not in self._asked or self._asked[key].done():
            self._asked[key] = self._pool.submit(estimate, config)

    def asked(self, config: Config) -> bool:
        """Whether the estimate of ``config`` was asked for."""
        return config.to_json() in self._asked

    def busy(self) -> bool:
        """Whether any estimate is being made or waits."""
        return not all(future.done() for future in list(self._asked.values()))

    def ready(self, config: Config) -> bool:
        """Whether the dry run of ``config`` is over, well or badly."""
        future = self._asked.get(config.to_json())
        return future is not None and future.done()

    def result(self, config: Config) -> Estimate | None:
        """Return the estimate, None while it is being made. Raises the :class:`JobError` of a failed one."""
        return self._asked[config.to_json()].result() if self.ready(config) else None


def measure(config: Config) -> Estimate:
    """Do the dry run in this process."""
    from metalab.api import create_metalearner
    from metalab.backbones import create_backbone
    from metalab.data import create_source
    from metalab.evaluation import Evaluation, evaluate
    from metalab.execution import choose_device
    from metalab.pretraining import pretrain, ready_backbone
    from metalab.training import Trainer, peak_memory, task_shape

    device = choose_device(config.device)
    source = create_source(config, device)
    seconds = {}
    backbone = ready_backbone(config)
    if backbone is None:
        backbone, few = create_backbone(config).to(device), config.replace(pretrain_steps=WARM + TIMED)
        taken = _timed(pretrain(backbone, source, few))
        seconds["pre-training"] = taken / (WARM + TIMED) * config.pretrain_steps
    backbone = backbone.to(device)
    learner = create_metalearner(config.metalearner, backbone, seed=config.seed, **config.options)
    looks = config.validate_every
    few = config.replace(steps=WARM + TIMED, validate_every=WARM + TIMED, validation_tasks=EVALUATED)
    moments = {"start": time.perf_counter()}
    for progress in Trainer(learner, source, few).run():
        moments[f"{progress.kind} {progress.step}"] = time.perf_counter()
    step = (moments[f"train {WARM + TIMED}"] - moments[f"train {WARM}"]) / TIMED
    look = moments["validation 0"] - moments["start"]
    seconds["meta-training"] = step * config.steps
    seconds["meta-validation"] = look / EVALUATED * config.validation_tasks * (config.steps // looks + 1)
    shape = task_shape(config, "test", source)
    taken = _timed(
        item
        for item in evaluate(learner, backbone.frozen_copy(), source, shape, EVALUATED)
        if not isinstance(item, Evaluation)
    )
    seconds["evaluation"] = taken / EVALUATED * config.test_tasks
    seconds["drawing"] = 15.0  # UMAP compiles for about ten seconds
    return Estimate(seconds, peak_memory(device))


def _timed(events: Iterator[object]) -> float:
    started = time.perf_counter()
    for _ in events:
        pass
    return time.perf_counter() - started


if __name__ == "__main__":
    from metalab.errors import MetalabError

    try:
        print(json.dumps(dataclasses.asdict(measure(Config.from_json(sys.stdin.read())))))
    except MetalabError as error:
        sys.exit(str(error))
