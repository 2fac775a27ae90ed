"""A task of annotated pictures, judged: from the embedded scenes, a user's files, or labels made by hand."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
import torch
from torch import Tensor

from metalab.backbones import Backbone
from metalab.baselines_dense import BOX_BASELINES, MASK_BASELINES
from metalab.data import TARGETS
from metalab.data.annotation import Picture
from metalab.data.labelled import pictures_of, targets
from metalab.data.scenes import SceneSource
from metalab.errors import DataError
from metalab.inspection import TaskView
from metalab.inspection_pictures import inspect_pictures
from metalab.metalearners import MetaLearner
from metalab.metalearners.base import score
from metalab.picture_model import (
    LEAST_SCORE,
    PictureModel,
    Prediction,
    adapt_pictures,
    coco_results,
    mask_file,
)
from metalab.records import examples
from metalab.tasks import Examples, Task, TaskShape, task_at
from metalab.threads import one_thread

SCENE_SIZE = 64
"""Side of the embedded scenes."""
QUERY = 24
"""Pictures to judge by, at most: enough to see, and quick."""


@dataclass(frozen=True)
class PictureTask:
    """Labelled ``support`` pictures to learn from, ``query`` pictures, and the side they are resized to.

    ``size``: None for one that fits the objects, see :func:`metalab.data.fitting.fitting_size`.
    ``known``: whether the query pictures are labelled as well, so that predictions can be judged.
    """

    support: list[Picture]
    query: list[Picture]
    classes: list[str]
    size: int | None = None
    known: bool = True


def sample_task(
    application: str, number: int, way: int, shot: int, query: int = 4, size: int = SCENE_SIZE
) -> PictureTask:
    """Return held-out task ``number`` of the embedded scenes at ``size``. Raises :class:`DataError`."""
    source = SceneSource(size, TARGETS[application])
    task = task_at(source, number, "test", TaskShape(way, shot, query), seed=1)
    names = source.class_names("test")
    classes = [names[int(i)] for i in task.classes]
    parts = (
        pictures_of(part, classes, role) for role, part in (("support", task.support), ("query", task.query))
    )
    return PictureTask(*parts, classes, size)


def divide(pictures: Sequence[Picture], classes: Sequence[str], shot: int, seed: int = 0) -> PictureTask:
    """Return a task of ``classes``: pictures are support until each class is on ``shot`` of them.

    The order is drawn by ``seed``. Raises :class:`DataError` when no class is given, or when no picture is
    left to judge by.
    """
    if not classes:
        raise DataError("no class is chosen", where="classes", fix="Choose one or more")
    shown = [{one.label for one in picture.instances} & set(classes) for picture in pictures]
    order = [i for i in np.random.default_rng(seed).permutation(len(pictures)).tolist() if shown[i]]
    support: list[int] = []
    for name in classes:
        for i in order:
            if sum(name in shown[j] for j in support) >= shot:
                break
            if name in shown[i] and i not in support:
                support.append(i)
    rest = [i for i in order if i not in support][:QUERY]
    if not rest:
        raise DataError(
            f"all {len(support)} pictures are needed to learn from, none is left to judge by",
            where="pictures",
            fix="Lower the shot, or add pictures",
        )
    return PictureTask([pictures[i] for i in support], [pictures[i] for i in rest], list(classes))


@dataclass(frozen=True)
class FrozenModel(PictureModel):
    """What frozen pre-trained features give without meta-learning: the nearest mean pixel of the support."""

    pretrained: Backbone
    support: Examples

    def each(self, images: Sequence[np.ndarray]) -> list[Tensor]:
        """Return the outputs for each image; the support set is looked at once for all of them."""
        return list(self.outputs(images).split(1)) if images else []

    @one_thread()
    def outputs(self, images: Sequence[np.ndarray]) -> Tensor:
        """Return the baseline's outputs for ``images``."""
        x = examples(list(images), self.metalearner.backbone)
        baselines = MASK_BASELINES if self.application == "segmentation" else BOX_BASELINES
        make = next(make for name, _, make in baselines if name == "nearest-centroid")
        task = Task(self.support, Examples(x, self.support.y[:0]), len(self.classes))
        with torch.no_grad():
            return make(self.pretrained)(task, 0)


@dataclass(frozen=True)
class Adapted:
    """A task with the model ``before`` and ``after`` adaptation, and the seconds that adapting took."""

    task: PictureTask
    before: FrozenModel
    after: PictureModel
    seconds: float

    def judge(self, model: PictureModel, least: float = LEAST_SCORE) -> tuple[list[Prediction], float | None]:
        """Return what ``model`` finds in the query pictures, and its mean IoU or AP50, 0..1.

        Boxes that are less sure than ``least`` are left out of what is found, not of the score, which is None
        where no query picture is labelled.
        """
        query = self.task.query
        images, names = [one.image for one in query], [one.name for one in query]
        outputs = model.each(images)
        known = self.task.known and bool(query)
        judged = float(score(torch.cat(outputs), self._examples(query))) if known else None
        return model.read(outputs, images, names, least), judged

    def view(self) -> TaskView:
        """Return the features of places before and after; of the support alone where no query is labelled."""
        support = self.before.support
        query = self._examples(self.task.query) if self.task.known else support
        task = Task(support, query, len(self.task.classes))
        return inspect_pictures(self.after.metalearner, self.before.pretrained, task, self.task.classes)

    def _examples(self, pictures: Sequence[Picture]) -> Examples:
        return labelled_examples(self.after.metalearner, pictures, self.task.classes)


def labelled_examples(
    metalearner: MetaLearner, pictures: Sequence[Picture], classes: Sequence[str]
) -> Examples:
    """Return ``pictures`` as the tensors that ``metalearner`` learns from. Raises :class:`DataError`."""
    backbone = metalearner.backbone
    x = examples([picture.image for picture in pictures], backbone)
    return Examples(
        x, targets(pictures, classes, backbone.size, TARGETS[metalearner.application]).to(x.device)
    )


def adapt_task(metalearner: MetaLearner, pretrained: Backbone, task: PictureTask) -> Adapted:
    """Adapt to ``task``, and make the baseline on the same support. Raises :class:`DataError`."""
    started = time.perf_counter()
    after = adapt_pictures(metalearner, task.support, task.classes, task.size)
    seconds = time.perf_counter() - started
    support = labelled_examples(after.metalearner, task.support, task.classes)
    before = FrozenModel(after.metalearner, after.state, after.classes, pretrained, support)
    return Adapted(task, before, after, seconds)


def surer(prediction: Prediction, least: float) -> Prediction:
    """Return ``prediction`` without the boxes that are less sure than ``least``; masks all stay."""
    held = zip(prediction.picture.instances, prediction.scores, strict=True)
    kept = [(one, sure) for one, sure in held if one.mask is not None or sure >= least]
    picture = replace(prediction.picture, instances=[one for one, _ in kept])
    return Prediction(picture, [sure for _, sure in kept])


def task_key(task: PictureTask) -> str:
    """Name a task by its content: pictures, labels, classes, and which of them are support."""
    digest = hashlib.sha256(f"{task.classes} {task.size} {task.known} {len(task.support)}".encode())
    for picture in [*task.support, *task.query]:
        digest.update(f"{picture.name} {picture.image.shape}".encode())
        digest.update(np.ascontiguousarray(picture.image).tobytes())
        for one in picture.instances:
            digest.update(f"{one.label} {one.box}".encode())
            digest.update(b"" if one.mask is None else np.packbits(one.mask).tobytes())
        digest.update(b"" if picture.ignore is None else np.packbits(picture.ignore).tobytes())
    return digest.hexdigest()[:16]


def results_zip(predictions: Sequence[Prediction], classes: Sequence[str], masks: bool) -> bytes:
    """Return a zip of ``predictions`` as COCO JSON and, with ``masks``, a palette PNG a picture."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("results.json", json.dumps(coco_results(predictions), indent=1))
        for number, one in enumerate(predictions if masks else [], 1):
            stem = PurePosixPath(one.picture.name).stem  # never a path: names come from outside
            archive.writestr(f"masks/{number:03} {stem}.png", mask_file(one, classes))
    return content.getvalue()


SCRIPT = '''"""Find things in image files with an adapted model: python find.py IMAGE..."""
import json
import sys

import metalab
from metalab.data.reading import read_image
from metalab.picture_model import coco_results, mask_file

model = metalab.load("model.safetensors")
images = [read_image(path) for path in sys.argv[1:]]
found = model.predict(images, sys.argv[1:])
for number, one in enumerate(found, 1):
    print(one.picture.name, [(thing.label, thing.box) for thing in one.picture.instances])
    if model.application == "segmentation":
        with open(f"mask-{number}.png", "wb") as file:
            file.write(mask_file(one, model.classes))
with open("results.json", "w") as file:
    json.dump(coco_results(found), file)
'''
"""What a user runs beside the downloaded model."""
