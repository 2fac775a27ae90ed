"""Own photos: heads, adapters and baselines on real pictures, how sure they may be, and how long it takes."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from metalab.adaptation import adapt_examples
from metalab.api import create_metalearner
from metalab.backbones import Photo
from metalab.calibration import calibration_error, familiarity
from metalab.data.decoding import decode
from metalab.data.photos import image_source
from metalab.data.pictures import mixed_pictures
from metalab.data.pool import PoolSource
from metalab.data.reading import ImageSet, read_images, require_classes
from metalab.errors import DataError
from metalab.evaluation import Evaluation, evaluate, mean_interval
from metalab.metalearners import MetaLearner
from metalab.records import examples, stored_examples
from metalab.tasks import Examples, TaskShape, seeded, task_list

HEADS = ("r2d2", "protonet", "simpleshot")
ADAPTERS = ("r2d2", "simpleshot", "film")
"""Untrained heads on frozen features, and meta-learners that are trained on the mixed pictures."""
RATE, WAY, TASKS_A_STEP = 3e-4, 10, 4
SHOWN = 25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--data", type=Path, help="class folders of real photos")
    parser.add_argument("--stamps", type=Path, help="the photos of Debian's tuxpaint-stamps-default")
    parser.add_argument("--steps", type=int, default=200, help="meta-training steps (default: 200)")
    parser.add_argument("--tasks", type=int, default=600, help="held-out tasks (default: 600)")
    parser.add_argument("--query", type=int, default=5, help="query examples per class (default: 5)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object a result")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    held = _stamps(arguments.stamps) if arguments.stamps else None
    if arguments.data:
        held = require_classes(read_images(arguments.data), 5)
    for item in measure(held, arguments.steps, arguments.tasks, arguments.query, arguments.seed):
        if isinstance(item, str):
            print(item, file=sys.stderr, flush=True)
        else:
            print(json.dumps(item) if arguments.json else _text(item), flush=True)
    return 0


def measure(
    held: ImageSet | None, steps: int, tasks: int, query: int, seed: int
) -> Iterator[str | dict[str, Any]]:
    """Yield a line of progress or a result: times, then tables on the mixed pictures and on real photos."""
    backbone = Photo().restore_frozen().eval()
    yield times(backbone)
    mixed = _mixed(backbone)
    yield f"{mixed.n_train_classes} classes of mixed pictures to meta-train on"
    learners = {name: create_metalearner(name, backbone, seed=seed) for name in HEADS}
    for name in ADAPTERS:
        learners[f"{name}+"] = _meta_train(create_metalearner(name, backbone, seed=seed), mixed, steps, seed)
        yield f"{name}: adapter meta-trained for {steps} steps"
    places = {"mixed pictures, classes held out": mixed}
    if held is not None:
        places["real photos"] = image_source(held, backbone, test_only=True)
    for place, source in places.items():
        for shot in (1, 5):
            shape = TaskShape(5, shot, query)
            for item in evaluate(learners, backbone, source, shape, tasks):
                if isinstance(item, Evaluation):
                    yield {"place": place, **item.as_dict()}
        if place == "real photos":
            yield confidence(learners["r2d2"], source, min(tasks, 200), query)


def times(backbone: Photo) -> dict[str, Any]:
    """Return how long it takes to adapt to 25 photos of 256×256 pixels, and to add ten classes of five."""
    chance, learner = np.random.default_rng(0), create_metalearner("r2d2", backbone)
    labels = np.arange(SHOWN) % 5
    photos = [chance.integers(0, 256, (256, 256, 3), dtype=np.uint8) for _ in range(SHOWN + 51)]
    examples(photos[-1:], backbone)  # the very first pass sets up the convolutions
    seconds = []
    from metalab.adaptation import adapt

    for _ in range(2):
        started = time.perf_counter()
        model = adapt(learner, photos[:SHOWN], labels)
        model.predict(photos[:1])
        seconds.append(time.perf_counter() - started)
    started = time.perf_counter()
    model.add_examples(photos[SHOWN : SHOWN + 50], np.arange(50) % 10 + 10)
    return {
        "place": "times",
        "adapt_seconds": seconds[0],
        "cached_seconds": seconds[1],
        "add_ten_classes_seconds": time.perf_counter() - started,
    }


def confidence(learner: MetaLearner, source: PoolSource, tasks: int, query: int) -> dict[str, Any]:
    """Return how well 5-way 5-shot confidence is calibrated, and strangers are told, over ``tasks`` tasks.

    Of six classes drawn, the last is the stranger: its examples must be told from query examples of the five.
    The calibration error is over all query examples of all tasks together.
    """
    chances, labels, raw, areas = [], [], [], []
    for batch in task_list(source, tasks, "test", TaskShape(6, 5, query), 11):
        for task in batch:
            own, strange = task.support.y < 5, task.query.y == 5
            support = Examples(task.support.x[own], task.support.y[own])
            model = adapt_examples(learner, support, list(range(5)), calibrated=True)
            with torch.no_grad():
                held, features = (learner.features(model.state, x) for x in (support.x, task.query.x))
                logits = learner.classify(model.state, features[~strange])
                known = familiarity(held, features, support, 5)
            chances.append((logits / model.confidence.temperature).softmax(1))
            raw.append(logits.softmax(1))
            labels.append(task.query.y[~strange])
            areas.append(roc_auc_score(~strange.numpy(), known.numpy()))
    truth = torch.cat(labels).numpy()
    auroc, interval = mean_interval(np.array(areas))
    return {
        "place": "confidence",
        "ece": calibration_error(torch.cat(chances).numpy(), truth),
        "ece_uncalibrated": calibration_error(torch.cat(raw).numpy(), truth),
        "auroc": auroc,
        "interval": interval,
        "tasks": tasks,
    }


def _mixed(backbone: Photo) -> PoolSource:
    pictures, labels = mixed_pictures(backbone.size)
    number = int(labels.max()) + 1
    order = np.random.default_rng(1).permutation(number).tolist()
    splits: Any = {"test": {"all": order[: number // 5]}, "train": {"all": order[number // 5 :]}}
    x, names = stored_examples(list(pictures), backbone), [str(i) for i in range(number)]
    return PoolSource("mixed", x, torch.from_numpy(labels), names, splits)


def _meta_train(learner: MetaLearner, source: PoolSource, steps: int, seed: int) -> MetaLearner:
    """Meta-train with one and five shots in turn, AdamW; the adapter and the head's own parameters."""
    parameters = [one for one in learner.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=RATE, weight_decay=1e-3)
    for step in range(steps):
        shape = TaskShape(WAY, (1, 5)[step % 2], 5)
        batch = source.sample(TASKS_A_STEP, "train", shape, seeded("cpu", seed, "adapters", step))
        loss = torch.stack([learner(task.support, task.query, WAY)[0] for task in batch]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return learner


def _stamps(folder: Path) -> ImageSet:
    """Read the photos among Tux Paint's stamps: a class is a folder of the second level with ten or more."""
    images, labels, names = [], [], []
    unwanted = ("cartoon", "symbols", "flags", "_mirror", "_flip")
    for path in sorted(folder.rglob("*.png")):
        parts = path.relative_to(folder).parts
        if len(parts) > 2 and not any(word in str(path.relative_to(folder)) for word in unwanted):
            try:
                images.append(decode(path.read_bytes(), str(path)))
            except DataError:  # too small
                continue
            labels.append("/".join(parts[:2]))
            names.append(path.name)
    kept = [i for i, label in enumerate(labels) if labels.count(label) >= 10]
    return ImageSet(*([part[i] for i in kept] for part in (images, labels, names)), [])


def _text(item: dict[str, Any]) -> str:
    if item["place"] == "times":
        return (
            f"25 photos: adapt and predict {item['adapt_seconds']:.2f} s, {item['cached_seconds']:.2f} s "
            f"with known features; ten classes of five photos more: {item['add_ten_classes_seconds']:.2f} s"
        )
    if item["place"] == "confidence":
        return (
            f"5-way 5-shot: calibration error {item['ece']:.3f} (uncalibrated "
            f"{item['ece_uncalibrated']:.3f}), strangers told with AUROC {item['auroc']:.3f} ± "
            f"{item['interval']:.3f}, {item['tasks']} tasks"
        )
    rows = [
        f"  {_label(row):<44} {100 * row['accuracy']:.1f} ± {100 * row['interval']:.1f} %"
        for row in sorted(item["rows"], key=lambda row: -row["accuracy"])
    ]
    return "\n".join([f"{item['place']}, {item['way']}-way {item['shot']}-shot", *rows])


def _label(row: dict[str, Any]) -> str:
    if row["kind"] != "metalearner":
        return row["label"]
    kind = "adapter meta-trained" if row["method"].endswith("+") else "frozen features"
    return f"{row['label'].split(' (')[0]}, {kind}"
