"""Lake's one-shot runs: error of the shipped matcher, each drawing on its own and all of a run together."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from metalab.data.lake_runs import read_runs
from metalab.lake.recipe import load_lake, one_thread, shipped_lake
from metalab.lake.scoring import one_shot_scores


@dataclass(frozen=True)
class LakeResult:
    """Errors in % of each run, and the seconds that all took."""

    inductive: list[float]
    transductive: list[float]
    seconds: float

    def summary(self) -> dict[str, float | int]:
        """Return the means, for JSON."""
        return {
            "error_percent": round(float(np.mean(self.inductive)), 3),
            "transductive_error_percent": round(float(np.mean(self.transductive)), 3),
            "runs": len(self.inductive),
        }

    def text(self) -> str:
        """Return readable lines, with 95 % intervals over runs."""
        return (
            f"error, each test drawing on its own       {_figure(self.inductive)}\n"
            f"error, best assignment of all of a run    {_figure(self.transductive)}   (transductive)\n"
            f"{len(self.inductive)} runs, mean ± 95 % interval over runs, {self.seconds:.0f} s"
        )


def _figure(errors: list[float]) -> str:
    if len(errors) < 2:
        return f"{np.mean(errors):5.2f} %"
    return f"{np.mean(errors):5.2f} ± {1.96 * np.std(errors, ddof=1) / len(errors) ** 0.5:.2f} %"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("runs", type=Path, metavar="FOLDER_OR_ZIP", help="of run01 … run20 (all_runs)")
    parser.add_argument(
        "--model",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="written by: ship lake; give it again to average several (default: the shipped ones)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    result = lake(arguments.runs, arguments.model)
    print(json.dumps(result.summary()) if arguments.json else result.text())
    return 0


def lake(runs: Path | str, models: Sequence[Path | str] = ()) -> LakeResult:
    """Return the errors on all runs below ``runs`` (a folder or zip) of checkpoints ``models``.

    The scores of several are averaged; none means the shipped ones.

    Raises :class:`DataError` and :class:`CheckpointError`.
    """
    matchers = [load_lake(model)[0] for model in models or shipped_lake()]
    started = time.monotonic()
    inductive, transductive = [], []
    with one_thread():
        for run in read_runs(runs):
            scores = one_shot_scores(matchers, run.training, run.test)
            inductive.append(100 * float(np.mean(scores.argmax(1) != run.truth)))
            transductive.append(100 * float(np.mean(assignment(scores) != run.truth)))
    return LakeResult(inductive, transductive, time.monotonic() - started)


def assignment(scores: np.ndarray) -> np.ndarray:
    """Return the column of each row in the assignment of largest total score, each column at most once.

    Rows that are left over, where there are more rows than columns, take their best column.
    """
    chosen = scores.argmax(1)
    rows, columns = linear_sum_assignment(scores, maximize=True)
    chosen[rows] = columns
    return chosen
