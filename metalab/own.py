"""Own images, judged: held-out tasks from a user's folder, with the ready models and every baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from metalab.adaptation import AdaptedModel
from metalab.backbones import Backbone
from metalab.calibration import folds_of
from metalab.choice import DRAWING, PHOTO, grey, ready
from metalab.data.photos import image_source
from metalab.data.pictures import photos
from metalab.data.reading import ImageSet, read_images, require_classes
from metalab.evaluation import Evaluation, Measured, measure, methods_of, tabulate
from metalab.inspection import TaskView, inspect_task
from metalab.progress import Progress
from metalab.shipped import load_trained, shipped
from metalab.tasks import Task, TaskShape

CROSS_FOLDS = 5
MANY_CLASSES, MANY_EXAMPLES = 10, 10
"""From so many classes, and images in each, meta-training on own images is worth a try."""


def evaluate_own(path: Path | str, shape: TaskShape, n_tasks: int) -> Iterator[Progress | dict[str, Any]]:
    """Yield progress, last the table (as :class:`Evaluation`) of tasks over the class folders in ``path``.

    All classes are meta-test. Colour images meet the photo backbone, grey ones the shipped meta-learners for
    drawings as well, each with the baselines on its own backbone. ``notes`` holds what was wrong with files.
    Raises :class:`DataError`.
    """
    held = require_classes(read_images(path), shape.way)
    table: dict[str, Any] = {}
    for item in _evaluate(held, shape, n_tasks):
        if isinstance(item, Progress):
            yield item
        else:
            table = item.as_dict()
    yield table | {"notes": [str(note) for note in held.notes]}


def _evaluate(held: ImageSet, shape: TaskShape, n_tasks: int) -> Iterator[Progress | Evaluation]:
    groups = [({PHOTO: ready(PHOTO)}, ready(PHOTO).backbone, "")]
    if grey(held.images):
        trained = {name: load_trained(name) for name in shipped()}
        learners = {name: one.metalearner for name, one in trained.items()}
        groups.append((learners, trained[DRAWING].pretrained, " (drawings)"))
    methods: dict[str, Measured] = {}
    values: dict[str, Any] = {}
    for learners, pretrained, suffix in groups:
        source = image_source(held, pretrained, test_only=True)
        source.check(shape, "test")
        mine = methods_of(learners, pretrained)
        for item in measure(mine, source, shape, n_tasks, "test", pretrained.input_mean.device):
            if isinstance(item, Progress):
                yield item
                continue
            for name, accuracies in item.items():
                key = name if name in learners else f"{name}{suffix}"
                label = mine[name].label if name in learners else f"{mine[name].label}{suffix}"
                if name == PHOTO:
                    label = "Ready model for photos (ridge head, no adapter)"
                methods[key] = Measured(label, mine[name].kind, mine[name].transductive)
                values[key] = accuracies
    yield tabulate(methods, values, shape, "test")


@dataclass(frozen=True)
class CrossRow:
    """A method's share of right answers on examples that it had not seen, with half its 95 % interval."""

    method: str
    label: str
    kind: str
    accuracy: float
    interval: float
    examples: int


def cross_validate(model: AdaptedModel, pretrained: Backbone, name: str) -> list[CrossRow]:
    """Return how the meta-learner of ``model`` and every baseline do on its support set, best first.

    Stratified folds, the same for all; a class's only example is never held out. Empty where no class has two
    examples. The interval is Wilson's over examples, which come from one task: it says nothing of others.
    """
    way, right = len(model.classes), {}
    methods = methods_of({name: model.metalearner}, pretrained)
    folds = list(folds_of(model.support, way, CROSS_FOLDS))
    for key, method in methods.items():
        with torch.no_grad(), threadpool_limits(1):
            found = [
                (method.run(Task(kept, held, way), number).argmax(1) == held.y).tolist()
                for number, (kept, held) in enumerate(folds)
            ]
        right[key] = [one for part in found for one in part]
    rows = [
        CrossRow(key, methods[key].label, methods[key].kind, *_wilson(sum(hits), len(hits)), len(hits))
        for key, hits in right.items()
        if hits
    ]
    return sorted(rows, key=lambda row: -row.accuracy)


def _wilson(right: int, n: int) -> tuple[float, float]:
    """Return the share and half the width of Wilson's 95 % interval."""
    share, z = right / n, 1.96
    return share, z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))


def recommendation(counts: Mapping[str, int]) -> str:
    """Return in words whether to adapt at once or to meta-train on the user's classes first, and why."""
    if len(counts) < MANY_CLASSES:
        return (
            f"It is ready to use: meta-training on your own classes takes {MANY_CLASSES} or "
            f"more, these are {len(counts)}."
        )
    if min(counts.values()) < MANY_EXAMPLES:
        return (
            f"It is ready to use: with {len(counts)} classes you could meta-train, but the smallest has "
            f"{min(counts.values())} images and {MANY_EXAMPLES} are needed."
        )
    return (
        f"It is ready to use. Then try meta-training: {len(counts)} classes of {MANY_EXAMPLES} images or "
        "more allow it, on the page Train with *Own images*; classes held out from it show if it pays."
    )


def view_support(model: AdaptedModel, pretrained: Backbone) -> TaskView | None:
    """Look at features before and after adapting to two thirds of each class, the rest as query.

    None where a class has fewer than three examples.
    """
    way = len(model.classes)
    if int(torch.bincount(model.support.y, minlength=way).min()) < 3:
        return None
    kept, held = next(iter(folds_of(model.support, way, 3)))
    return inspect_task(model.metalearner, pretrained, Task(kept, held, way), [str(c) for c in model.classes])


def sample_photos(per_class: int = 6) -> ImageSet:
    """Return crops of photos that come with scikit-image and scikit-learn, a class a photo: to try with."""
    images, labels, names = [], [], []
    chance = np.random.default_rng(0)
    for name, photo in photos().items():
        side = min(photo.shape[:2]) * 6 // 10
        for number in range(per_class):
            top, left = (int(chance.integers(0, size - side)) for size in photo.shape[:2])
            images.append(np.ascontiguousarray(photo[top : top + side, left : left + side]))
            labels.append(name)
            names.append(f"{name}/crop {number + 1}")
    return ImageSet(images, labels, names, [])


SCRIPT = '''"""Classify image files: PYTHONPATH=METALAB_FOLDER python predict.py IMAGE..."""
import sys
from pathlib import Path

import metalab
from metalab.data.reading import read_image

model = metalab.load(Path(__file__).with_name("model.safetensors"))
told = model.judge([read_image(path) for path in sys.argv[1:]])
for number, (path, chances) in enumerate(zip(sys.argv[1:], told.probabilities)):
    unlike = told.known is not None and not told.known[number]
    note = " (unlike the examples: perhaps none of these)" if unlike else ""
    print(path, model.classes[chances.argmax()], f"{chances.max():.0%}{note}")
'''
"""What a user runs beside the downloaded model."""
