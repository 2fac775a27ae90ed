"""Runs and methods side by side: leaderboards of equal tasks, paired differences, and plain words."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from metalab.applications import application
from metalab.config import Config
from metalab.errors import MetalabError, RunError
from metalab.evaluation import least_gain, mean_interval
from metalab.runs import Run, RunStore

if TYPE_CHECKING:
    from metalab.shipped import Shipped

SHIPPED_MODELS, QUICK = "shipped", "quick training"
"""Where a row comes from, besides a run's name: the models that come with metalab, and the leaderboard."""
FEW_STEPS = 200
"""Below so many steps of meta-training a run says little, and its verdict says so."""


@dataclass(frozen=True)
class Entry:
    """One row of a leaderboard; shares in 0..1, None where unknown.

    ``gain`` ± ``gain_interval`` is the paired difference to ``baseline``, the best baseline on the same
    tasks. ``key`` is unique on the board; ``run`` the id of the run, if it is one, and ``steps`` those it
    took. ``step_seconds``: a step of meta-training; ``adapt_milliseconds``: adapting to one task and
    predicting its queries.
    """

    key: str
    label: str
    origin: str
    kind: str
    accuracy: float
    interval: float
    tasks: int
    transductive: bool = False
    gain: float | None = None
    gain_interval: float | None = None
    baseline: str | None = None
    step_seconds: float | None = None
    adapt_milliseconds: float | None = None
    run: str | None = None
    steps: int | None = None

    @property
    def few_steps(self) -> bool:
        """Whether it is a run that trained too little to be judged."""
        return self.steps is not None and self.steps < FEW_STEPS

    @property
    def name(self) -> str:
        """The label with what must be said about it, as figures and tables show it."""
        origin = f" · {self.origin}" if self.origin and self.origin != QUICK else ""
        return self.label + origin + (" (transductive)" if self.transductive else "")


def boards(store: RunStore | None = None) -> dict[str, list[Entry]]:
    """Return leaderboards by the words for their tasks: only rows that met the same tasks share a board.

    The shipped tables are on the first one. Runs without an evaluation, or damaged ones, are left out.
    Raises :class:`StorageError`.
    """
    from metalab.shipped import shipped_evaluation, shipped_leaderboard

    found: dict[str, list[Entry]] = {}
    board, models = shipped_leaderboard(), shipped_evaluation()
    if board:
        config = Config.create(shot=board["evaluation"]["shot"], test_tasks=board["budget"]["tasks"])
        rows = entries(board["evaluation"], QUICK, costs=board["costs"])
        found.setdefault(tasks_of(config), []).extend(rows)
    if models:
        config = Config.create(way=models["way"], shot=models["shot"], test_tasks=models["rows"][0]["tasks"])
        found.setdefault(tasks_of(config), []).extend(entries(models, SHIPPED_MODELS))
    for run in (store or RunStore()).list():
        try:
            if run.has("evaluation.json"):
                found.setdefault(tasks_of(run.config), []).extend(run_entries(run))
        except (MetalabError, KeyError, TypeError, ValueError):
            continue  # a damaged run is shown as such on its own page
    return {words: ranked(rows) for words, rows in found.items()}


def tasks_of(config: Config) -> str:
    """Return words for the list of held-out tasks of ``config``; equal words are equal tasks."""
    of = application(config.application)
    each = "" if "way" in of.unused else " a class"
    parts = [f"{config.source}, {of.shape(config.way, config.shot)}, {config.query} queries{each}"]
    parts.append(f"{config.test_tasks} tasks")
    for name in ("data", "episodes", "image_size", "channels"):
        value = getattr(config, name)
        if value != Config.model_fields[name].default and name not in of.unused:
            title, _ = of.words.get(name, (name.replace("_", " "), ""))
            parts.append(f"{title.lower()} {value}")
    return ", ".join(parts)


def entries(
    evaluation: Mapping[str, Any],
    origin: str,
    *,
    costs: Mapping[str, Mapping[str, float]] | None = None,
    run: str | None = None,
) -> list[Entry]:
    """Return the rows of an evaluation as data (:meth:`Evaluation.as_dict`), baselines included."""
    labels = {row["method"]: row["label"] for row in evaluation["rows"]}
    found = []
    for row in evaluation["rows"]:
        own, gain = row["kind"] == "metalearner", least_gain(evaluation, row["method"])
        cost = (costs or {}).get(row["method"], {})
        found.append(
            Entry(
                key=f"{run or origin}:{row['method']}",
                label=row["label"],
                origin=origin,
                kind=row["kind"],
                accuracy=row["accuracy"],
                interval=row["interval"] or 0.0,
                tasks=row["tasks"],
                transductive=row["transductive"],
                gain=gain and gain["difference"],
                gain_interval=gain and gain["interval"],
                baseline=gain and labels[gain["baseline"]],
                step_seconds=cost.get("step_seconds"),
                adapt_milliseconds=cost.get("adapt_milliseconds"),
                run=run if own else None,
            )
        )
    return found


def run_entries(run: Run) -> list[Entry]:
    """Return the rows of an evaluated run, its own with what training and adapting cost.

    Raises :class:`RunError` when its files are missing or damaged.
    """
    trained = run.history("train")
    rates = [event["rate"] for event in trained if event.get("rate")]
    cost: dict[str, float] = {}
    if rates:
        cost["step_seconds"] = run.config.meta_batch / statistics.median(rates)
    if run.has("view.json"):
        cost["adapt_milliseconds"] = 1000 * run.read_json("view")["seconds"]
    costs = {run.config.metalearner: cost}
    steps = max((event["step"] for event in trained), default=run.config.steps)
    rows = entries(run.read_json("evaluation"), run.name, costs=costs, run=run.id)
    return [replace(row, steps=steps) if row.run else row for row in rows]


def ranked(rows: list[Entry]) -> list[Entry]:
    """Return ``rows``, best first, each baseline once: the same backbone gives it the same result."""
    seen: dict[tuple[str, float], Entry] = {}
    for row in rows:
        same = (row.label, round(row.accuracy, 6)) if row.kind == "baseline" else (row.key, 0.0)
        seen.setdefault(same, row)
    several = Counter(row.label for row in seen.values())
    named = [
        replace(row, origin="") if row.kind == "baseline" and several[row.label] == 1 else row
        for row in seen.values()
    ]
    return sorted(named, key=lambda row: -row.accuracy)


def own_first(rows: list[Entry]) -> list[Entry]:
    """Return ``rows`` with the user's runs on top, then the best baseline; without runs as they are."""
    own = [row for row in rows if row.run]
    best = [row for row in rows if row.kind == "baseline"][:1] if own else []
    return [*own, *best, *(row for row in rows if row not in own and row not in best)]


def plain_verdict(entry: Entry, run: str = "Your run") -> str:
    """Say in one sentence whether meta-training pays, against the best that a user can have without it.

    A run's sentence begins with ``run``, its name and its steps: it speaks of this run alone.
    """
    who = entry.name
    if entry.run:
        steps = "" if entry.steps is None else f", {entry.steps:,} steps"
        who = f"{run} {entry.origin} ({entry.label}{steps})"
    if entry.gain is None:
        return f"{who} reaches {entry.accuracy:.1%}; nothing to compare it with was measured."
    interval = entry.gain_interval or 0.0
    points = f"{100 * abs(entry.gain):.1f} ± {100 * interval:.1f} points"
    tasks = f"on these {entry.tasks} tasks"
    subject = f"{who} has had too few steps to judge: so far it" if entry.few_steps else who
    if math.isclose(interval, 0.0, abs_tol=5e-5):
        words = f"{subject} gives what {entry.baseline} gives {tasks}: training changed nothing."
    elif entry.gain > interval:
        words = f"{subject} gains {points} over {entry.baseline} {tasks}."
    elif entry.gain < -interval:
        words = f"{subject} is {points} worse than {entry.baseline} {tasks}."
        words += "" if entry.few_steps else f" It does not pay here: use {entry.baseline} instead."
    else:
        words = f"{subject} shows no clear gain over {entry.baseline} {tasks}: they differ by {points}."
    if entry.transductive:
        words += " It is transductive: it saw all query examples at once, which the baseline did not."
    return words


@dataclass(frozen=True)
class RunDifference:
    """Accuracy of run a less that of run b; ``paired`` over the same tasks, or from two independent means."""

    difference: float
    interval: float
    paired: bool


def run_difference(a: Run, b: Run) -> RunDifference | None:
    """Compare two evaluated runs; None when they met different tasks.

    Runs that an older metalab evaluated kept no result a task; then the difference is not paired, and its
    interval wider. Raises :class:`RunError` when files are missing or damaged.
    """
    if tasks_of(a.config) != tasks_of(b.config):
        return None
    names = [run.config.metalearner for run in (a, b)]
    if a.has("accuracies.safetensors") and b.has("accuracies.safetensors"):
        ours, theirs = (run.read_arrays("accuracies")[name] for run, name in zip((a, b), names, strict=True))
        return RunDifference(*mean_interval(ours - theirs), paired=True)
    rows = [
        next(row for row in run.read_json("evaluation")["rows"] if row["kind"] == "metalearner")
        for run in (a, b)
    ]
    spread = math.hypot(*(row["interval"] or 0.0 for row in rows))
    return RunDifference(rows[0]["accuracy"] - rows[1]["accuracy"], spread, paired=False)


def config_difference(a: Config, b: Config) -> list[tuple[str, str, str]]:
    """Return (title of the setting, value in ``a``, value in ``b``) for each one that differs."""
    found = []
    left, right = (config.model_dump(mode="json") for config in (a, b))
    for name, field in Config.model_fields.items():
        if name == "options":
            for option in sorted({*left[name], *right[name]}):
                values = [side[name].get(option, "default") for side in (left, right)]
                if values[0] != values[1]:
                    found.append((f"Option {option.replace('_', ' ')}", str(values[0]), str(values[1])))
        elif left[name] != right[name]:
            found.append((field.title or name, _shown(left[name]), _shown(right[name])))
    return found


def _shipped_as(model: Shipped) -> str:
    return "shipped, for photos" if model.config.backbone == "photo-pyramid" else "shipped"


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)


def models(
    store: RunStore | None = None, application: str = "image-classification"
) -> dict[str, tuple[str, float]]:
    """Return every trained model of ``application``: key → (readable name, time of its file); shipped ones
    first, then runs.

    Raises :class:`StorageError`.
    """
    from metalab.metalearners import get_metalearner
    from metalab.shipped import UNTRAINED, shipped, untrained

    found = {
        name: (
            f"{get_metalearner(model.config.metalearner).label} · {_shipped_as(model)}",
            model.path.stat().st_mtime,
        )
        for name, model in shipped(application).items()
    }
    for name, path in untrained(application).items():
        label = get_metalearner(UNTRAINED[name]["metalearner"]).label
        found[name] = (f"{label} · ready, for photos", path.stat().st_mtime)
    for run in (store or RunStore()).list():
        with suppress(OSError, RunError):  # it has no model yet, is damaged, or was deleted just now
            if run.config.application != application:
                continue
            found[run.id] = (f"{run.name} · run of {run.started}", run.checkpoint("best").stat().st_mtime)
    return found
