"""How far adaptation pulls classes apart, over many tasks: measured in a process of its own, kept on disk.

One task is a lucky or an unlucky draw. A page calls :func:`start` once and :func:`look` as often as it likes;
the result outlives page and server.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from metalab.backbones import Backbone
from metalab.background import start_module
from metalab.embeddings import linear_cka, scores
from metalab.errors import MetalabError
from metalab.evaluation import TEST_SEED, mean_interval
from metalab.metalearners import MetaLearner
from metalab.progress import Progress
from metalab.storage import atomic_write, home, make_folder, to_json, try_lock
from metalab.tasks import TaskShape, TaskSource, task_list

MEASURES = {
    "silhouette": "Silhouette",
    "neighbour_accuracy": "k-NN accuracy",
}
VERSION = 1
"""Raised when the measures change, so that kept results are not mistaken for new ones."""


@dataclass(frozen=True)
class Order:
    """What to measure: a shipped model or run with the time of its file, the data, and the tasks."""

    model: str
    version: float
    data: str
    """Configuration of the data as JSON."""
    source: str | None
    """Another source of held-out tasks than the model's own."""
    way: int
    shot: int
    query: int
    tasks: int

    @property
    def folder(self) -> Path:
        """The folder of progress and result, named by the content of the order."""
        content = json.dumps([VERSION, asdict(self)], sort_keys=True).encode()
        return home() / "cache" / "separations" / hashlib.sha256(content).hexdigest()[:20]


@dataclass(frozen=True)
class Look:
    """How an order stands: ``state`` none, running, done or failed, ``share`` done 0..1.

    ``result`` is as :func:`separations` yields it last, ``message`` says what goes on or went wrong.
    """

    state: str
    share: float = 0.0
    message: str = ""
    result: dict[str, Any] | None = None


@torch.no_grad()
def separations(
    metalearner: MetaLearner, pretrained: Backbone, source: TaskSource, shape: TaskShape, n_tasks: int
) -> Iterator[Progress | dict[str, Any]]:
    """Yield progress, last {"tasks", "rows", "cka"} over held-out tasks, the same for every model.

    Each row has ``measure``, ``before``, ``after`` and ``difference``, pairs of mean and half its 95 %
    interval (the difference is paired by task), and ``values``, the pairs of each task; ``cka`` likewise is
    the pair for the likeness of the features before to those after. Support and query are scored together;
    tasks on which a score is not defined are left out. Raises :class:`DataError`.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in MEASURES}
    likeness, started = [], time.monotonic()
    tasks = itertools.chain.from_iterable(
        task_list(source, n_tasks, "test", shape, TEST_SEED, pretrained.input_mean.device)
    )
    for done, task in enumerate(tasks, start=1):
        x = torch.cat([task.support.x, task.query.x])
        labels = torch.cat([task.support.y, task.query.y]).cpu().numpy()
        state = metalearner.adapt(task.support, task.way)
        pair = [part.float().cpu().numpy() for part in (pretrained(x), metalearner.features(state, x))]
        with threadpool_limits(1):  # small matrices: more threads than idle cores cost a factor of ten
            first, last = (scores(features, labels) for features in pair)
            cka = linear_cka(*pair)
        for name, held in found.items():
            values = getattr(first, name), getattr(last, name)
            if None not in values:
                held.append(values)
        if cka is not None:
            likeness.append(cka)
        rate = done / (time.monotonic() - started)
        yield Progress("evaluate", done, n_tasks, rate=rate, eta=(n_tasks - done) / rate)
    rows = []
    for name, held in found.items():
        if held:
            before, after = np.array(held).T
            columns = {"before": before, "after": after, "difference": after - before}
            rows.append(
                {
                    "measure": name,
                    **{key: mean_interval(values) for key, values in columns.items()},
                    "values": held,
                }
            )
    yield {"tasks": n_tasks, "rows": rows, "cka": mean_interval(np.array(likeness)) if likeness else None}


def start(order: Order) -> int | None:
    """Measure ``order`` in the background, and return the id of the process that does.

    None: it is under way or done. Raises :class:`StorageError`.
    """
    folder = make_folder(order.folder)
    lock = try_lock(folder / "lock")
    if lock is None:
        return None
    try:
        if _read(folder / "result.json") is not None:
            return None
        atomic_write(folder / "order.json", to_json(asdict(order)))
        atomic_write(folder / "progress.json", to_json({"share": 0, "message": "Starting"}))
        # The process inherits the lock, so that it is held for as long as the process lives, however it ends.
        return start_module("metalab.separations", [str(folder.absolute())], lock).pid
    finally:
        os.close(lock)


def look(order: Order) -> Look:
    """Return how ``order`` stands; a process that was killed is reported as failed."""
    folder = order.folder
    if (result := _read(folder / "result.json")) is not None:
        return Look("done", 1.0, result=result)
    progress = _read(folder / "progress.json")
    if progress is None:
        return Look("none")
    if "error" in progress:
        return Look("failed", message=progress["error"])
    lock = try_lock(folder / "lock")
    if lock is None:
        return Look("running", progress["share"], progress["message"])
    os.close(lock)
    if (result := _read(folder / "result.json")) is not None:  # finished between the two looks
        return Look("done", 1.0, result=result)
    return Look("failed", message="The measuring process ended before it was done. Start it again.")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):  # absent, or damaged by hand: it is measured anew
        return None


def main(folder: Path) -> int:
    """Measure the order in ``folder``; one process at a time, for the sake of whatever trains beside it."""
    from metalab.config import Config
    from metalab.data import create_source, create_test_source
    from metalab.shipped import load_trained
    from metalab.supervisor import die_with_parent

    die_with_parent()
    os.nice(10)
    torch.set_num_threads(1)
    progress = folder / "progress.json"
    try:
        while (turn := try_lock(folder.parent / "turn")) is None:
            atomic_write(progress, to_json({"share": 0, "message": "Waiting for another measurement"}))
            time.sleep(0.5)
        order = Order(**json.loads((folder / "order.json").read_bytes()))
        trained, config = load_trained(order.model), Config.from_json(order.data)
        source = create_test_source(config, order.source) if order.source else create_source(config)
        shape, written = TaskShape(order.way, order.shot, order.query), 0.0
        for item in separations(trained.metalearner, trained.pretrained, source, shape, order.tasks):
            if not isinstance(item, Progress):
                atomic_write(folder / "result.json", to_json(item))
            elif time.monotonic() - written > 0.3:
                words = f"{item.step} of {item.steps} tasks"
                atomic_write(progress, to_json({"share": item.step / item.steps, "message": words}))
                written = time.monotonic()
        os.close(turn)
    except MetalabError as error:
        atomic_write(progress, to_json({"error": str(error)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
