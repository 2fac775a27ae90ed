"""How long a user waits: adapting a shipped model to a new task, and the very first start."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from metalab.data import TARGETS, create_source
from metalab.data.glyphs import render_glyphs
from metalab.inspection import inspect_task
from metalab.own_pictures import sample_task
from metalab.picture_choice import choose
from metalab.picture_model import adapt_pictures
from metalab.shipped import load_trained, shipped
from metalab.tasks import TaskShape, task_at

SHAPE = TaskShape(5, 5, 15)
PICTURES, SIDE = (TaskShape(1, 1, 1), TaskShape(1, 5, 1), TaskShape(5, 5, 1)), 128
"""Of tasks with masks and boxes: their shapes, and the side of a picture in pixels."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--repeat", type=int, default=20, help="tasks per model (default: 20)")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    for lines in (adapt(arguments.repeat), pictures(arguments.repeat)):
        for line in lines:
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


def pictures(repeat: int = 20) -> Iterator[str]:
    """Yield lines of results: seconds to adapt a ready model to labelled pictures and to search one more."""
    for application in TARGETS:
        learners = {name: load_trained(name).metalearner for name in shipped(application)}
        for shape in PICTURES:
            tasks = [
                sample_task(application, number, shape.way, shape.shot, 1, SIDE) for number in range(repeat)
            ]
            words = f"{shape.way}-way {shape.shot}-shot, {SIDE} pixels"
            for name, learner in learners.items():
                times = []
                for task in tasks:
                    started = time.perf_counter()
                    model = adapt_pictures(learner, task.support, task.classes, SIDE)
                    model.predict([task.query[0].image])
                    times.append(time.perf_counter() - started)
                yield (
                    f"{name:<18} adapt and search one picture, {words}: median {np.median(times):.2f} s, "
                    f"slowest {max(times):.2f} s, first {times[0]:.2f} s, {repeat} tasks"
                )
            times = []
            for task in tasks:
                started = time.perf_counter()
                choose(application, task.support, task.classes, SIDE)
                times.append(time.perf_counter() - started)
            yield f"{application:<18} choose among the ready models, {words}: median {np.median(times):.2f} s"
