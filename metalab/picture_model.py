"""A model adapted to a few annotated pictures: finds the same kinds of objects in new ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.adaptation import describe, rebuild
from metalab.boxes import decode_boxes
from metalab.checkpoints import checkpoint_bytes, load_checkpoint, prefixed
from metalab.data import TARGETS
from metalab.data.annotation import Instance, Picture
from metalab.data.annotations_out import class_mask, mask_png, to_coco
from metalab.data.fitting import fitting_size
from metalab.data.labelled import as_picture, targets
from metalab.data.labelled_arrays import coloured, labelled_arrays
from metalab.errors import CheckpointError, DataError
from metalab.metalearners import MetaLearner, State
from metalab.metalearners.base import score
from metalab.records import examples
from metalab.storage import atomic_write
from metalab.tasks import Examples
from metalab.threads import one_thread

if TYPE_CHECKING:
    from metalab.api import TaskResult

KIND = "picture-model"
"""Of its checkpoints."""
LEAST_SCORE = 0.3
"""Boxes that are less sure are left out of predictions, by default."""


@dataclass(frozen=True)
class Prediction:
    """What was found in one picture: a :class:`Picture` of predicted instances, and how sure each is.

    ``scores`` holds one number 0..1 an instance: of a box its score, of a mask its pixels' mean probability.
    """

    picture: Picture
    scores: list[float]

    def class_mask(self, classes: Sequence[str]) -> np.ndarray:
        """Return class numbers (H, W) uint8, 0 the ground, 1 + the place in ``classes``."""
        return class_mask(self.picture, classes)


@dataclass(frozen=True)
class PictureModel:
    """A segmenter or detector with the state of one task; ``classes`` names its outputs, in order."""

    metalearner: MetaLearner
    state: State
    classes: list[str]

    @property
    def application(self) -> str:
        """What it does: segmentation or detection."""
        return self.metalearner.application

    @property
    def size(self) -> int:
        """The side to which pictures are resized."""
        return self.metalearner.backbone.size

    def predict(
        self, images: Sequence[np.ndarray], names: Sequence[str] | None = None, least: float = LEAST_SCORE
    ) -> list[Prediction]:
        """Return what is found in raw images (H, W) or (H, W, 3) of any size, in their own pixels.

        Boxes that are less sure than ``least`` are left out. Raises :class:`DataError`.
        """
        names = [f"picture {i + 1}" for i in range(len(images))] if names is None else names
        return self.read(self.each(images), images, names, least)

    def read(
        self, held: Sequence[Tensor], images: Sequence[np.ndarray], names: Sequence[str], least: float
    ) -> list[Prediction]:
        """Return the predictions that the outputs of :meth:`each` stand for."""
        found = []
        for outputs, image, name in zip(held, images, names, strict=True):
            if self.application == "segmentation":
                found.append(self._masks(np.asarray(image), name, outputs))
            else:
                found.append(self._boxes(np.asarray(image), name, outputs, least))
        return found

    def outputs(self, images: Sequence[np.ndarray]) -> Tensor:
        """Return the meta-learner's raw outputs for ``images``. Raises :class:`DataError`."""
        x = examples(list(images), self.metalearner.backbone)
        with torch.no_grad():
            return self.metalearner.predict(self.state, x)

    @one_thread()
    def each(self, images: Sequence[np.ndarray]) -> list[Tensor]:
        """Return the outputs for each image on its own: none is judged by another."""
        return [self.outputs([image]) for image in images]

    def _masks(self, image: np.ndarray, name: str, outputs: Tensor) -> Prediction:
        logits = F.interpolate(outputs, image.shape[:2], mode="bilinear", align_corners=False)
        chances, labels = logits.softmax(1)[0].max(0)
        picture = as_picture(name, coloured(image), labels.cpu().numpy(), self.classes)
        sure = chances.cpu().numpy()
        return Prediction(picture, [float(sure[one.mask].mean()) for one in picture.instances])

    def _boxes(self, image: np.ndarray, name: str, outputs: Tensor, least: float) -> Prediction:
        found = decode_boxes(outputs)[0]
        height, width = image.shape[:2]
        scale = [width / self.size, height / self.size] * 2
        kept = [i for i, score in enumerate(found.scores.tolist()) if score >= least]
        instances = [
            Instance(
                self.classes[int(found.classes[i])],
                tuple(float(v * s) for v, s in zip(found.boxes[i].tolist(), scale, strict=True)),
            )
            for i in kept
        ]
        return Prediction(Picture(name, coloured(image), instances), [float(found.scores[i]) for i in kept])

    def save(self, path: Path | str) -> None:
        """Write everything to one safetensors file. Raises :class:`StorageError`."""
        atomic_write(Path(path), self.to_bytes())

    def export(self, path: Path | str) -> None:
        """Write the model as ONNX: see :func:`metalab.export.onnx_bytes`."""
        atomic_write(Path(path), self.to_onnx())

    def to_onnx(self) -> bytes:
        """Return what :meth:`export` writes."""
        from metalab.export import onnx_bytes

        return onnx_bytes(self)

    def to_bytes(self) -> bytes:
        """Return what :meth:`save` writes."""
        tensors = {f"learner.{k}": v for k, v in self.metalearner.state_dict().items()}
        tensors |= {f"state.{k}": v for k, v in self.state.items()}
        return checkpoint_bytes(KIND, tensors, {"classes": self.classes, **describe(self.metalearner)})


@one_thread()
def adapt_pictures(
    metalearner: MetaLearner,
    pictures: Sequence[Picture],
    classes: Sequence[str] | None = None,
    size: int | None = None,
) -> PictureModel:
    """Adapt to annotated pictures, resized to ``size`` (a multiple of 16); nothing is meta-trained.

    ``classes``: those to find, by default all that the pictures show. ``size``: by default
    :func:`fitting_size`. Raises :class:`DataError`.
    """
    classes = shown_classes(pictures, classes)
    size = fitting_size(pictures, classes) if size is None else size
    if size % 16:
        raise DataError(f"{size} is no multiple of 16", where="size", fix="Use 64, 96, 128 …")
    resized = copy.deepcopy(metalearner)
    resized.backbone.size = size
    x = examples([picture.image for picture in pictures], resized.backbone)
    y = targets(pictures, classes, size, TARGETS[metalearner.application]).to(x.device)
    with torch.no_grad():
        state = resized.adapt(Examples(x, y), len(classes))
    return PictureModel(resized, {name: tensor.detach() for name, tensor in state.items()}, list(classes))


def shown_classes(pictures: Sequence[Picture], classes: Sequence[str] | None = None) -> list[str]:
    """Return ``classes``, by default all that the pictures show; raises :class:`DataError` if one is not."""
    shown = sorted({one.label for picture in pictures for one in picture.instances})
    classes = shown if classes is None else list(classes)
    if not classes or not set(classes) <= set(shown):
        missing = ", ".join(map(repr, sorted(set(classes) - set(shown)))) or "anything"
        raise DataError(
            f"no picture shows {missing}", where="pictures", fix="Annotate one object of each class or more"
        )
    return classes


def load_picture_model(path: Path | str) -> PictureModel:
    """Read what :meth:`PictureModel.save` wrote; raises :class:`CheckpointError`."""
    tensors, meta = load_checkpoint(path, KIND)
    metalearner = rebuild(meta, prefixed(tensors, "learner"), path)
    try:
        return PictureModel(metalearner, prefixed(tensors, "state"), list(meta["classes"]))
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"describes no adapted model ({error})", where=path) from None


def coco_results(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return ``predictions`` as COCO JSON, with a score each."""
    return to_coco([one.picture for one in predictions], [one.scores for one in predictions])


def mask_file(prediction: Prediction, classes: Sequence[str]) -> bytes:
    """Return the mask of ``prediction`` as a palette PNG."""
    return mask_png(prediction.class_mask(classes), classes)


def picture_task_learning(
    metalearner: MetaLearner, train_data: Any, train_labels: Any, test_data: Any, test_labels: Any = None
) -> TaskResult:
    """Adapt to pictures with masks or boxes, predict, and judge, as :func:`metalab.api.task_learning`.

    Classes are named by their numbers. Raises :class:`DataError`.
    """
    from metalab.api import TaskResult

    kind = TARGETS[metalearner.application]
    model = adapt_pictures(metalearner, labelled_arrays(train_data, train_labels, kind, "train_labels"))
    predictions, accuracy = model.predict(list(test_data)), None
    if test_labels is not None:
        shown = labelled_arrays(test_data, test_labels, kind, "test_labels")
        truth = targets(shown, model.classes, model.size, kind)
        outputs = torch.cat([model.outputs([image]) for image in test_data])
        accuracy = float(score(outputs, Examples(outputs, truth.to(outputs.device))))
    return TaskResult(predictions, [one.scores for one in predictions], accuracy, model)
