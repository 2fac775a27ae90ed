"""How long a user waits: adapting a shipped model to a new task, and the very first start."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from metalab.data import create_source
from metalab.data.glyphs import render_glyphs
from metalab.inspection import inspect_task
from metalab.shipped import load_trained, shipped
from metalab.tasks import TaskShape, task_at

SHAPE = TaskShape(5, 5, 15)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--repeat", type=int, default=20, help="tasks per model (default: 20)")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    for line in adapt(arguments.repeat):
        print(line, flush=True)
    return 0


def adapt(repeat: int = 20) -> Iterator[str]:
    """Yield lines of results: seconds over ``repeat`` tasks a model, 5-way 5-shot, this machine's CPU."""
    for name in shipped():
        trained = load_trained(name)
        source = create_source(trained.config)
        times = [
            inspect_task(
                trained.metalearner, trained.pretrained, task_at(source, number, "test", SHAPE, seed=1)
            ).seconds
            for number in range(repeat)
        ]
        yield (
            f"{name:<9} adapt and predict 75 images, 5-way 5-shot: median {np.median(times):.3f} s, "
            f"slowest {max(times):.3f} s, first {times[0]:.3f} s, {repeat} tasks"
        )
    started = time.perf_counter()
    characters = len(render_glyphs().characters)
    seconds = time.perf_counter() - started
    yield f"glyphs    render {characters:,} characters at the very first start: {seconds:.1f} s"
