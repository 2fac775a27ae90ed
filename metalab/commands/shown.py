"""What commands show on a terminal: progress on one line, tables of methods."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def tell(notes: Iterable[object]) -> None:
    """Print what is to be said of data, a line each, beside the output."""
    for note in notes:
        print(note, file=sys.stderr)


@contextmanager
def bar() -> Iterator[Callable[[Any], None]]:
    """Give a function that shows progress events on one line."""
    from tqdm import tqdm

    with tqdm(unit="step", leave=False, disable=None) as line:

        def show(progress: Any) -> None:
            if line.total != progress.steps or progress.step < line.n:
                line.reset(total=progress.steps)
            numbers = {"loss": progress.loss, "accuracy": progress.accuracy}
            line.set_description(progress.message or progress.kind)
            line.set_postfix({k: f"{v:.3f}" for k, v in numbers.items() if v is not None}, refresh=False)
            line.update(progress.step - line.n)

        yield show


def show_table(evaluation: dict[str, Any], markdown: bool = False) -> None:
    """Print rows, best first, each meta-learner with its paired difference to the best baseline."""
    from metalab.evaluation import least_gain

    metric = evaluation.get("metric", "accuracy")
    if markdown:
        print(f"| method | {metric} | against the best baseline |\n| --- | --- | --- |")
    for row in sorted(evaluation["rows"], key=lambda row: -row["accuracy"]):
        label = row["label"] + (" (transductive)" if row["transductive"] else "")
        figure = f"{100 * row['accuracy']:.1f} ± {100 * row['interval']:.1f} %"
        gain = least_gain(evaluation, row["method"])
        paired = f"{100 * gain['difference']:+.1f} ± {100 * gain['interval']:.1f}" if gain else ""
        if markdown:
            print(f"| {label} | {figure} | {paired} |")
        else:
            print(f"{label:<42} {figure:>14}  {paired and f'{paired} points against the best baseline'}")
    print(
        f"{metric}, {evaluation['way']}-way {evaluation['shot']}-shot, {evaluation['rows'][0]['tasks']} "
        f"tasks of the {evaluation['split']} split, mean ± 95 % interval, the same tasks for every row"
    )
    print(evaluation["verdict"])


def print_table(table: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Print an evaluation as ``--format`` and ``--json`` ask."""
    if arguments.format == "json":
        print(json.dumps(table, indent=1))
    else:
        show_table(table, arguments.format == "markdown")
    if arguments.json:
        print(json.dumps(table, ensure_ascii=False))
