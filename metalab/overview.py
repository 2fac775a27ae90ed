"""One line about each run: what it is, how far it got, and what it gained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

from metalab.applications import application
from metalab.config import Config
from metalab.errors import MetalabError
from metalab.evaluation import least_gain
from metalab.jobs import Backend
from metalab.metalearners import get_metalearner
from metalab.runs import Run, State, Status

STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Line:
    """One run. ``accuracy`` is that of its meta-learner on held-out tasks, ``gain`` the paired difference to
    the best baseline with half its 95 % ``interval``, all shares and None before the evaluation; ``problem``
    says what is damaged."""

    run: Run
    name: str
    status: Status
    method: str = ""
    task: str = ""
    accuracy: float | None = None
    gain: float | None = None
    interval: float | None = None
    problem: str = ""

    @property
    def state(self) -> State:
        """The state; ``damaged`` as well when only the results are."""
        return "damaged" if self.problem else self.status.state


def still_to_come(stage: str, config: Config) -> str:
    """Say what follows after ``stage`` of a run; empty after the last but one."""
    if stage == "drawing":
        return ""
    if stage == "evaluating":
        return "then one picture of the features"
    training = f"{config.steps:,} steps of meta-training and " if stage == "pre-training" else ""
    return f"then {training}evaluation on {config.test_tasks:,} held-out tasks"


def overview(runs: list[Run], backend: Backend) -> list[Line]:
    """Return a line for each of ``runs``; damaged ones say what is wrong and stop nobody else's."""
    return [_line(run, backend.status(run)) for run in runs]


def _line(run: Run, status: Status) -> Line:
    if status.state == "damaged":
        return Line(run, run.name, status, problem=status.error or "damaged")
    try:
        return Line(
            run, run.name, status, *_contents(run, _written(run, "config"), _written(run, "evaluation"))
        )
    except MetalabError as error:
        return Line(run, run.name, status, problem=str(error))


def _written(run: Run, name: str) -> int:
    path = run.path / f"{name}.json"
    return path.stat().st_mtime_ns if path.is_file() else 0


@lru_cache(maxsize=1000)
def _contents(run: Run, *written: int) -> tuple[str, str, float | None, float | None, float | None]:
    """Return method, task, accuracy, gain and interval; read again when a file was ``written`` anew."""
    config, table = run.config, run.evaluation()
    shape = application(config.application).shape(config.way, config.shot)
    method, task = get_metalearner(config.metalearner).label, f"{shape}, {config.source}"
    own = next((row for row in table["rows"] if row["kind"] == "metalearner"), None) if table else None
    if own is None:
        return method, task, None, None, None
    gain = least_gain(table, own["method"]) or {}
    return method, task, own["accuracy"], gain.get("difference"), gain.get("interval")
