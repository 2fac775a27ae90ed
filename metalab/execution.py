"""How a batch of tasks is executed. Algorithms are written for one task; these strategies run many.

=========  ==========================================================================================
loop       one task after the other; the reference
threads    tasks spread over Python threads of one torch thread each (PyTorch releases the GIL)
replay     the same threads, running a recording of the task's gradient (:mod:`metalab.tracing`)
vmap       all tasks in one batched call
batched    a recording of that call
graph      that call as one CUDA graph (:mod:`metalab.graphs`); on other devices it is vmap
=========  ==========================================================================================

All give the same result to rounding, and gradients are added in the order of the tasks. loop with one torch
thread, threads and replay give the same bits, whatever the number of threads; so do vmap and batched.

A GPU takes all tasks of a meta-batch in one call. When its memory does not suffice, they are halved until it
does, and the step is done again: nothing is lost, and results differ by rounding alone.
"""

from __future__ import annotations

import ctypes
import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from metalab.errors import ConfigError
from metalab.graphs import Graph
from metalab.metalearners import MetaLearner
from metalab.tasks import Task, TaskBatch
from metalab.threads import cores
from metalab.tracing import Replay, Result, batch_gradient, shape_of, task_gradient, vmapped

T = TypeVar("T")

CHUNK = 32
"""Most tasks in one batched call on a CPU: memory does not grow with the meta-batch beyond it."""
ALL = 2**20
"""The same on a GPU, until its memory does not suffice."""
BATCHED = ("vmap", "batched", "graph")
RECORDED = ("replay", "batched", "graph")
WORTH_RECORDING = 1_000
"""Tasks in a run from which a recording, a second or several, pays for itself."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""
TRIALS = 3
"""Steps that a recording and the ordinary way are timed for, before the quicker one goes on."""


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


class Runner:
    """Runs tasks by one strategy; made by :func:`task_runner`."""

    def __init__(
        self,
        strategy: str,
        pool: ThreadPoolExecutor | None = None,
        accelerated: bool = False,
        worth_recording: bool = False,
    ) -> None:
        self.strategy, self.pool = strategy, pool
        self.chunk = ALL if accelerated else CHUNK
        self._accelerated, self._worth_recording = accelerated, worth_recording
        self._recordings: dict[Any, Replay | Graph | None] = {}
        self._seconds: dict[tuple[MetaLearner, str], list[float]] = {}

    def map(self, function: Callable[[Any], T], tasks: Iterable[Any]) -> Iterator[T]:
        """Yield ``function(task)`` in order; on threads if the strategy says so."""
        return self.pool.map(function, tasks) if self.pool else map(function, tasks)

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Run ``function`` beside what follows, if there are threads; else at once."""
        if self.pool:
            return self.pool.submit(function, *arguments)
        done: Future[T] = Future()
        done.set_result(function(*arguments))
        return done

    def meta_gradient(self, metalearner: MetaLearner, batch: TaskBatch, parameters: list[Tensor]) -> Result:
        """Return mean loss, mean score, and gradients of the mean loss for ``parameters``."""
        return self._in_memory(lambda: self._meta_gradient(metalearner, batch, parameters), len(batch))

    def _in_memory(self, work: Callable[[], T], tasks: int) -> T:
        """Do ``work``; as often as the GPU's memory does not suffice, again with chunks of half the size.

        Raises torch's error when not even one of the ``tasks`` fits.
        """
        while True:
            try:
                return work()
            except torch.OutOfMemoryError:
                self.chunk = min(self.chunk, tasks) // 2
                if not self.chunk:
                    raise
            # Not while the error is at hand: it holds on to the tensors that fill the memory.
            self._recordings.clear()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _meta_gradient(self, metalearner: MetaLearner, batch: TaskBatch, parameters: list[Tensor]) -> Result:
        strategy = self.resolve(metalearner)
        if strategy in BATCHED:
            gradient, parts, spread = batch_gradient, list(chunks(batch, self.chunk)), map
        else:
            gradient, parts, spread = task_gradient, list(batch), self.map
        recordings = {}
        if strategy in RECORDED:  # here, since a recording borrows the module: no thread may use it meanwhile
            for part in parts:
                shape = shape_of(part)
                if shape not in recordings:
                    recordings[shape] = self._recording(strategy, gradient, metalearner, part, parameters)

        def one(part: Task | TaskBatch) -> Result:
            replay = recordings.get(shape_of(part))
            return replay(part) if replay else gradient(metalearner, part, parameters)

        totals: list[Tensor] = []
        losses, scores = [], []
        started = time.perf_counter()
        for part, (loss, right, gradients) in zip(parts, spread(one, parts), strict=True):
            share = len(part) if isinstance(part, TaskBatch) else 1
            losses.append(loss * share)
            scores.append(right * share)
            if totals:
                torch._foreach_add_(totals, gradients, alpha=share)
            else:  # a copy: a gradient may be a view that cannot be added to
                totals = list(torch._foreach_mul(gradients, share))
        torch._foreach_div_(totals, float(len(batch)))
        held = self._seconds.setdefault((metalearner, strategy), [])
        if len(held) < TRIALS:
            held.append(time.perf_counter() - started)
        return torch.stack(losses).sum() / len(batch), torch.stack(scores).sum() / len(batch), totals

    def accuracies(self, metalearner: MetaLearner, batch: TaskBatch) -> Tensor:
        """Return query accuracy after adaptation, one number a task (n_tasks,)."""

        def one(task: Task) -> Tensor:
            with torch.no_grad():  # a thread has a mode of its own
                return metalearner.score(metalearner.trial(task.support, task.query, task.way), task.query)

        if self.resolve(metalearner) in BATCHED:

            def all_of_them() -> Tensor:
                with torch.no_grad():
                    return torch.cat([vmapped(metalearner, part)[1] for part in chunks(batch, self.chunk)])

            return self._in_memory(all_of_them, len(batch))
        return torch.stack(list(self.map(one, batch)))

    def resolve(self, metalearner: MetaLearner) -> str:
        """Return the strategy for ``metalearner``.

        Auto is a rule wherever the choice could change a bit of the result: a resumed run and a second run
        with the same seed must give the same one. Batching convolutions over tasks loses on a CPU (to 0.3
        times the speed of a loop), and wins tenfold for small dense networks. Whether to record, which
        changes no bit, is measured during the first steps of a run.
        """
        if metalearner.one_by_one:
            return "threads" if self.pool else "loop"
        if self.strategy != "auto":
            return self.strategy
        if self._accelerated:
            return "graph" if self._worth_recording else "vmap"
        plain, recorded = on_cpu(metalearner)
        if not self._worth_recording:
            return plain
        times = {name: self._seconds.get((metalearner, name), []) for name in (recorded, plain)}
        untried = (name for name, held in times.items() if len(held) < TRIALS)
        return next(untried, None) or min(times, key=lambda name: min(times[name]))

    def _recording(
        self,
        strategy: str,
        gradient: Any,
        metalearner: MetaLearner,
        part: Task | TaskBatch,
        parameters: list[Tensor],
    ) -> Replay | Graph | None:
        key = (metalearner, shape_of(part), tuple(map(id, parameters)))
        if key not in self._recordings:
            recording = Graph if strategy == "graph" else Replay
            try:
                self._recordings[key] = recording(gradient, metalearner, part, parameters)
            except torch.OutOfMemoryError:
                raise
            except Exception:  # torch has no common class for "cannot be recorded"; the ordinary way runs
                self._recordings[key] = None
        return self._recordings[key]


@contextmanager
def task_runner(
    strategy: str = "auto", device: torch.device | str = "cpu", tasks: int = 0
) -> Iterator[Runner]:
    """Give a :class:`Runner`; while it is in use, threads of a thread pool take one torch thread each.

    ``tasks`` is about how many meta-gradients of tasks it will compute: whether recordings are worth it.
    """
    accelerated, worth = torch.device(device).type != "cpu", tasks >= WORTH_RECORDING
    workers = cores()
    if strategy not in ("auto", "threads", "replay") or accelerated or workers == 1:
        yield Runner(strategy, None, accelerated, worth)
        return
    _keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers) as pool:
            yield Runner(strategy, pool, accelerated, worth)
    finally:
        torch.set_num_threads(before)


@functools.cache
def _keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next allocation, up to 1 GiB, where it is glibc.

    By default it hands every map's memory back at once, and the system clears the pages anew each time: a
    third of a step. No number depends on it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    for setting in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
        mallopt(setting, 2**30)


def on_cpu(metalearner: MetaLearner) -> tuple[str, str]:
    """Return the strategy that suits ``metalearner`` on a CPU, and its recorded form: the same bits."""
    if metalearner.cpu_strategy is not None:
        return metalearner.cpu_strategy
    convolutions = any(parameter.dim() == 4 for parameter in metalearner.parameters())
    return ("threads", "replay") if convolutions else ("vmap", "batched")


def chunks(batch: TaskBatch, most: int) -> Iterator[TaskBatch]:
    """Cut ``batch`` into parts of equal size, give or take one, of at most ``most`` tasks."""
    parts = math.ceil(len(batch) / most)
    for part in range(parts):
        start, end = len(batch) * part // parts, len(batch) * (part + 1) // parts
        yield TaskBatch(batch.support[start:end], batch.query[start:end], batch.way)
