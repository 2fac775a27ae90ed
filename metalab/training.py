"""Step 3, the outer loop: a generator of progress events, resumable bit for bit on a CPU.

Everything random in step k is a function of (seed, k), so a checkpoint needs parameters, optimiser and
counters, and no generator states.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from metalab.applications import application
from metalab.checkpoints import load_checkpoint, load_into, prefixed, save_checkpoint
from metalab.config import Config
from metalab.errors import CheckpointError, DataError
from metalab.execution import Runner, choose_device, task_runner
from metalab.metalearners import MetaLearner
from metalab.pretraining import ready_backbone
from metalab.progress import Progress
from metalab.tasks import SPLITS, Split, TaskBatch, TaskShape, TaskSource, seeded, task_list

VALIDATION_SEED = 1_000_003
"""Seed of the fixed meta-validation tasks, the same for every run."""
AUTO_WAY = 20
"""Way of meta-training tasks by default, where the source has so many classes: harder tasks teach more
(ProtoNet, section 3.1; on meta-validation of glyphs it helped every method here)."""
COUNTERS = ("step", "validated", "best", "looks_since_best")


def preflight(config: Config, source: TaskSource) -> None:
    """Raise at once, before a run is created, what would stop it later.

    That is :class:`DataError` when a split cannot form the tasks, :class:`CheckpointError` for pre-trained
    weights that cannot be used, :class:`ConfigError` for a missing device.
    """
    choose_device(config.device)
    for split in SPLITS:
        source.check(task_shape(config, split, source), split)
    ready_backbone(config)


def task_shape(config: Config, split: Split, source: TaskSource) -> TaskShape:
    """Return the shape of the tasks that ``config`` draws from ``split`` of ``source``."""
    if split == "train":
        way = config.train_way or max(config.way, min(AUTO_WAY, source.largest_way("train")))
        return TaskShape(way, config.shot, config.train_query)
    return TaskShape(config.way, config.shot, config.query)


def train_shapes(config: Config, source: TaskSource) -> list[TaskShape]:
    """Return the shapes of meta-training tasks, in turn: the application's, unless a way is asked for.

    Of those only what ``source`` has tasks for; if none fits, the shape that is tested.
    """
    known = [TaskShape(*shape) for shape in application(config.application).train_shapes]
    if not known or config.train_way is not None:
        return [task_shape(config, "train", source)]
    return [shape for shape in known if _offers(source, shape)] or [task_shape(config, "test", source)]


def _offers(source: TaskSource, shape: TaskShape) -> bool:
    try:
        source.check(shape, "train")
    except DataError:
        return False
    return True


class Trainer:
    """Meta-trains one meta-learner in place.

    Iterate :meth:`run` to train; :meth:`save` and :meth:`load` between events give a resumable checkpoint.
    The parameters that did best on meta-validation are kept, and are in place when the run ends.
    """

    def __init__(self, metalearner: MetaLearner, source: TaskSource, config: Config) -> None:
        self.metalearner, self.source, self.config = metalearner, source, config
        self.device = next(metalearner.parameters()).device
        self.parameters = [p for p in metalearner.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.parameters, config.lr, weight_decay=config.weight_decay, fused=self.device.type == "cuda"
        )
        self.step, self.validated, self.best, self.looks_since_best = 0, -1, -1.0, 0
        self.best_state = self._copy()
        self.shapes = train_shapes(config, source)
        for shape in self.shapes:
            source.check(shape, "train")

    def run(self) -> Iterator[Progress]:
        """Train until the last step or until patience runs out; yields "train" and "validation" events."""
        config, started, first = self.config, time.monotonic(), self.step
        with task_runner(config.strategy, self.device, config.steps * config.meta_batch) as runner:
            ahead = runner.submit(self._sample, self.step)
            while True:
                due = self.step % config.validate_every == 0 or self.step == config.steps
                if due and self.validated != self.step:
                    yield self._validate(runner)
                if self.step >= config.steps or self.looks_since_best >= config.patience:
                    break
                batch, ahead = ahead.result(), runner.submit(self._sample, self.step + 1)
                loss, right = self._update(runner, batch)
                self.step += 1
                rate = (self.step - first) / (time.monotonic() - started)
                yield Progress(
                    "train",
                    self.step,
                    config.steps,
                    loss=loss.item(),
                    accuracy=right.item(),
                    rate=rate * config.meta_batch,
                    eta=(config.steps - self.step) / rate,
                    memory=peak_memory(self.device),
                )
        self.metalearner.load_state_dict(self.best_state)

    def _sample(self, step: int) -> TaskBatch:
        generator = seeded(self.device, self.config.seed, "train", step)
        return self.source.sample(
            self.config.meta_batch, "train", self.shapes[step % len(self.shapes)], generator
        )

    def _update(self, runner: Runner, batch: TaskBatch) -> tuple[Tensor, Tensor]:
        config = self.config
        warm = min(1.0, (self.step + 1) / max(1, min(50, config.steps // 10)))
        for group in self.optimiser.param_groups:
            group["lr"] = config.lr * warm * 0.5 * (1 + math.cos(math.pi * self.step / config.steps))
        self.metalearner.progress.fill_(self.step / config.steps)
        loss, right, gradients = runner.meta_gradient(self.metalearner, batch, self.parameters)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(self.parameters, config.clip)
        self.optimiser.step()
        return loss, right

    def _validate(self, runner: Runner) -> Progress:
        config = self.config
        shape = task_shape(config, "validation", self.source)
        tasks = task_list(
            self.source, config.validation_tasks, "validation", shape, VALIDATION_SEED, self.device
        )
        values = torch.cat([runner.accuracies(self.metalearner, batch) for batch in tasks])
        mean, self.validated = values.mean().item(), self.step
        if mean > self.best:
            self.best, self.looks_since_best, self.best_state = mean, 0, self._copy()
        else:
            self.looks_since_best += 1
        interval = 1.96 * values.std().item() / math.sqrt(len(values))
        return Progress("validation", self.step, config.steps, accuracy=mean, interval=interval)

    def _copy(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.metalearner.state_dict().items()}

    def save(self, path: Path | str) -> None:
        """Write all that :meth:`load` needs to ``path``, atomically. Raises :class:`StorageError`."""
        tensors = {f"model.{name}": tensor for name, tensor in self.metalearner.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best_state.items()}
        for number, slots in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in slots.items()}
        meta = {name: getattr(self, name) for name in COUNTERS}
        save_checkpoint(path, "training", tensors, {**meta, "config": self.config.model_dump(mode="json")})

    def load(self, path: Path | str) -> None:
        """Continue from :meth:`save`. Raises :class:`CheckpointError` if it is from another model."""
        tensors, meta = load_checkpoint(path, "training")
        if meta["config"]["metalearner"] != self.config.metalearner:
            raise CheckpointError(
                f"trained {meta['config']['metalearner']}, not {self.config.metalearner}", where=path
            )
        load_into(self.metalearner, prefixed(tensors, "model"), path)
        self.best_state = {k: v.to(self.device) for k, v in prefixed(tensors, "best").items()}
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in prefixed(tensors, "optimiser").items():
            number, slot = name.split(".", 1)
            state.setdefault(int(number), {})[slot] = tensor
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        for name in COUNTERS:
            setattr(self, name, meta[name])


def peak_memory(device: torch.device) -> int:
    """Return peak bytes: allocated on an accelerator, else resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
