"""Accuracy against shots and against inner steps, measured in a process of its own and kept on disk.

``$METALAB_HOME/curves/KEY.json`` holds what is known of one :class:`Question`, replaced as more is measured;
``lock`` there is held by the one process that measures; it ends with the server. So a reload, another session
or a restarted server sees the same curves, and nothing is measured twice. Tasks are those of meta-validation:
whoever chooses by these curves has not looked at meta-test.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metalab.background import start_module
from metalab.errors import MetalabError
from metalab.storage import atomic_write, home, make_folder, to_json, try_lock
from metalab.supervisor import die_with_parent

if TYPE_CHECKING:  # the page asks for curves without waiting for torch
    import numpy as np

    from metalab.metalearners import MetaLearner
    from metalab.tasks import TaskShape, TaskSource

SHOTS = (1, 2, 3, 5, 10)
STEPS = 10
"""Inner steps that are looked at, beyond those of the training where the method allows it."""
QUERY = 15
BASELINES = ("nearest-centroid", "logistic-regression")
"""What the curves are drawn against: frozen features with the two simple heads."""


@dataclass(frozen=True)
class Question:
    """Whose curves: a shipped model or a run (``which``), as it was at ``version`` (time of its file).

    ``way``: classes a task (None: as in training); ``tasks`` meta-validation tasks a point.
    """

    which: str
    version: float
    way: int | None = None
    tasks: int = 60

    @property
    def key(self) -> str:
        """Name of the file that holds the answer."""
        return hashlib.sha256(to_json(dataclasses.asdict(self))).hexdigest()[:16]

    @property
    def path(self) -> Path:
        """The file that holds the answer, as far as it is known."""
        return home() / "curves" / f"{self.key}.json"


def answer(question: Question) -> dict[str, Any] | None:
    """Return what is known: ``done`` 0..1, ``error`` or None, ``way``, ``shot``, and the two curves.

    ``shots`` and ``steps`` are lists of points: ``method``, ``label``, ``kind``, ``at`` (shots or inner
    steps), ``accuracy`` and ``interval`` (shares). None when nothing was measured yet.
    """
    try:
        known = json.loads(question.path.read_bytes())
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) and "done" in known else None


def finished(question: Question) -> bool:
    """Whether there is nothing left to measure."""
    known = answer(question)
    return known is not None and (known["done"] >= 1 or known["error"] is not None)


def ask(questions: Sequence[Question]) -> bool:
    """Have ``questions`` answered in the background; return whether anything is still to come.

    Costs little when everything is known or under way, so call it at every look. Raises
    :class:`StorageError`.
    """
    open_ones = [question for question in questions if not finished(question)]
    if not open_ones:
        return False
    lock = try_lock(make_folder(home() / "curves") / "lock")
    if lock is None:
        return True  # another one measures: ask again later
    try:
        start_module(
            "metalab.curves",
            ["--lock", str(lock), *map(_text, open_ones)],
            lock,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise MetalabError(
            f"the curves cannot be measured ({error})", where="curves", fix="Free memory, then try again"
        ) from None
    finally:
        os.close(lock)  # the process has its own handle on the same lock
    return True


def forget(questions: Sequence[Question]) -> None:
    """Drop the answers of ``questions``, so that :func:`ask` measures them again."""
    for question in questions:
        with suppress(OSError):
            question.path.unlink(missing_ok=True)


def measure_curves(question: Question) -> Iterator[dict[str, Any]]:
    """Measure both curves and yield the answer (see :func:`answer`) as it grows.

    Raises :class:`RunError`, :class:`CheckpointError`, :class:`DataError`.
    """
    import numpy as np
    import torch

    from metalab.data import create_source
    from metalab.evaluation import mean_interval, measure, methods_of
    from metalab.progress import Progress
    from metalab.shipped import load_trained
    from metalab.tasks import TaskShape

    torch.set_num_threads(1)  # a training may want the other cores
    trained = load_trained(question.which)
    learner, source = trained.metalearner, create_source(trained.config)
    way = min(question.way or trained.config.way, source.largest_way("validation"))
    shapes = [TaskShape(way, shot, QUERY if way <= 10 else 5) for shot in SHOTS]
    methods = methods_of({question.which: learner}, trained.pretrained)
    methods = {name: methods[name] for name in (question.which, *BASELINES)}
    known: dict[str, Any] = {"done": 0.0, "error": None, "way": way, "shot": trained.config.shot}
    known |= {"tasks": question.tasks, "shots": [], "steps": []}
    stages = len(shapes) + 1
    for number, shape in enumerate(shapes):
        for item in measure(methods, source, shape, question.tasks, "validation", torch.device("cpu")):
            if isinstance(item, Progress):
                yield {**known, "done": (number + item.step / item.steps) / stages}
                continue
            for name, values in item.items():
                mean, interval = mean_interval(values)
                known["shots"].append(
                    _point(name, methods[name].label, methods[name].kind, shape.shot, mean, interval)
                )
    known["inner_steps"] = getattr(learner.options, "inner_steps", None)
    if known["inner_steps"]:
        shape = TaskShape(way, trained.config.shot, shapes[0].query)
        by_step = np.empty((0, 0))
        for looked in step_accuracies(learner, source, shape, question.tasks):
            share, by_step = looked
            yield {**known, "done": (len(shapes) + 0.99 * share) / stages}
        for step, column in enumerate(by_step.T):
            mean, interval = mean_interval(column)
            known["steps"].append(_point(question.which, learner.label, "metalearner", step, mean, interval))
    yield {**known, "done": 1.0}


def step_accuracies(
    learner: MetaLearner, source: TaskSource, shape: TaskShape, n_tasks: int
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the share of tasks done, and their query accuracy after each inner step (tasks, steps + 1).

    Step 0 is the start. Methods whose steps are all alike are taken to :data:`STEPS`, others as far as they
    were trained.
    """
    import numpy as np
    import torch

    from metalab.evaluation import TEST_SEED
    from metalab.metalearners.base import score
    from metalab.tasks import task_list

    further, rows = stepping_further(learner), []
    with torch.no_grad():
        for batch in task_list(source, n_tasks, "validation", shape, TEST_SEED):
            for task in batch:
                states = further.path(task.support, task.way).values()
                rows.append([score(further.predict(s, task.query.x), task.query).item() for s in states])
            yield len(rows) / n_tasks, np.array(rows)


def stepping_further(learner: MetaLearner) -> MetaLearner:
    """Return a copy of ``learner`` that takes :data:`STEPS` inner steps at least, if its steps are alike."""
    import copy

    from metalab.metalearners.maml import MAML
    from metalab.metalearners.mamlpp import MAMLPlusPlus

    further = copy.copy(learner)
    if isinstance(learner, MAML) and not isinstance(learner, MAMLPlusPlus):  # that one learnt a rate a step
        steps = max(STEPS, learner.options.inner_steps)
        further.options = learner.options.model_copy(update={"inner_steps": steps})
    return further


def _point(name: str, label: str, kind: str, at: int, mean: float, interval: float) -> dict[str, Any]:
    return {
        "method": name,
        "label": label,
        "kind": kind,
        "at": at,
        "accuracy": mean,
        "interval": interval,
    }


def _text(question: Question) -> str:
    return json.dumps(dataclasses.asdict(question))


def main(argv: Sequence[str] | None = None) -> int:
    """Answer the questions of the command line, one after the other; the lock ends with this process."""
    parser = argparse.ArgumentParser(prog="python -m metalab.curves", description=__doc__)
    parser.add_argument("--lock", type=int, help="handle of the lock, when the caller has taken it")
    parser.add_argument("questions", nargs="+", help="questions as JSON")
    die_with_parent()
    os.nice(10)
    for text in parser.parse_args(argv).questions:
        question = Question(**json.loads(text))
        known: dict[str, Any] = {"done": 0.0, "error": None, "shots": [], "steps": []}
        try:
            for known in measure_curves(question):
                atomic_write(question.path, to_json(known))
        except Exception as error:
            if not isinstance(error, MetalabError):
                traceback.print_exc()
            words = str(error) if isinstance(error, MetalabError) else f"{type(error).__name__}: {error}"
            atomic_write(question.path, to_json({**known, "error": words}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
