"""How a batch of tasks is executed. Algorithms are written for one task; these strategies run many.

``loop``: one after the other. ``threads``: tasks spread over Python threads, each with one torch thread
(PyTorch releases the GIL); the best on a CPU for convolutions. ``vmap``: all tasks in one batched call; the
best on an accelerator. All give the same result: gradients are added in the order of the tasks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from metalab.errors import ConfigError
from metalab.metalearners import MetaLearner
from metalab.metalearners.base import score
from metalab.tasks import Examples, Task, TaskBatch

T = TypeVar("T")


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called ``name``; auto takes cuda, then mps, then cpu. Raises :class:`ConfigError`."""
    if name == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    device = torch.device(name)
    missing = (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise ConfigError(f"this machine has no {name}", where="device", fix="Use 'auto' or 'cpu'")
    return device


@dataclass(frozen=True)
class Runner:
    """Runs tasks by one strategy; made by :func:`task_runner`."""

    strategy: str
    pool: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[Any], T], tasks: Iterable[Any]) -> Iterator[T]:
        """Yield ``function(task)`` in order; on threads if the strategy says so."""
        return self.pool.map(function, tasks) if self.pool else map(function, tasks)

    def meta_gradient(
        self, metalearner: MetaLearner, batch: TaskBatch, parameters: list[Tensor]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return mean loss, mean accuracy, and gradients of the mean loss for ``parameters``."""
        if self.strategy == "vmap":
            losses, logits = _vmapped(metalearner, batch)
            gradients = torch.autograd.grad(losses.mean(), parameters, allow_unused=True)
            return (
                losses.mean().detach(),
                score(logits, batch.query).mean(),
                _filled(gradients, parameters),
            )

        def one(task: Task) -> tuple[Tensor, Tensor, list[Tensor]]:
            loss, logits = metalearner(task.support, task.query, task.way)
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            return loss.detach(), score(logits.detach(), task.query), _filled(gradients, parameters)

        totals: list[Tensor] = []
        losses, accuracies = [], []
        for loss, right, gradients in self.map(one, batch):
            losses.append(loss)
            accuracies.append(right)
            if totals:
                torch._foreach_add_(totals, gradients)
            else:
                totals = gradients
        torch._foreach_div_(totals, float(len(batch)))
        return torch.stack(losses).mean(), torch.stack(accuracies).mean(), totals

    def accuracies(self, metalearner: MetaLearner, batch: TaskBatch) -> Tensor:
        """Return query accuracy after adaptation, one number a task (n_tasks,)."""
        with torch.no_grad():
            if self.strategy == "vmap":
                return score(_vmapped(metalearner, batch)[1], batch.query)

            def one(task: Task) -> Tensor:
                with torch.no_grad():  # a thread has a mode of its own
                    return score(metalearner(task.support, task.query, task.way)[1], task.query)

            return torch.stack(list(self.map(one, batch)))


@contextmanager
def task_runner(strategy: str = "auto", device: torch.device | str = "cpu") -> Iterator[Runner]:
    """Give a :class:`Runner`; while it is in use, threads of a thread pool take one torch thread each."""
    if strategy == "auto":
        strategy = "threads" if torch.device(device).type == "cpu" else "vmap"
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if strategy != "threads" or workers == 1:
        yield Runner("loop" if strategy == "threads" else strategy)
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers) as pool:
            yield Runner(strategy, pool)
    finally:
        torch.set_num_threads(before)


def _vmapped(metalearner: MetaLearner, batch: TaskBatch) -> tuple[Tensor, Tensor]:
    parameters = dict(metalearner.named_parameters())

    def one(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        task = (Examples(*tensors[:2]), Examples(*tensors[2:]), batch.way)
        return functional_call(metalearner, parameters, task)

    return vmap(one)(batch.support.x, batch.support.y, batch.query.x, batch.query.y)


def _filled(gradients: Iterable[Tensor | None], parameters: list[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, parameters, strict=True)]
