"""A model adapted to one task: predict, explain, extend, save, load. Names and preprocessing are inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metalab import backbones
from metalab.backbones import is_frozen
from metalab.calibration import Confidence, calibrate, familiarity, without_class
from metalab.checkpoints import checkpoint_bytes, checkpoint_kind, load_checkpoint, load_into, prefixed
from metalab.errors import CheckpointError, ConfigError, DataError
from metalab.metalearners import MetaLearner, State, check_options, get_metalearner
from metalab.records import Images, examples
from metalab.storage import atomic_write
from metalab.tasks import Examples
from metalab.threads import one_thread

if TYPE_CHECKING:
    from metalab.answer_model import AnswerModel
    from metalab.event_model import EventModel
    from metalab.picture_model import PictureModel
    from metalab.written_model import WrittenModel

Label = str | int | float | bool
"""A class as the user names it."""
AT_ONCE = 256
"""Images predicted at once."""


@dataclass(frozen=True)
class Neighbour:
    """A support example: its number in ``model.support``, its class, the cosine of features (-1..1)."""

    number: int
    label: Label
    similarity: float


@dataclass(frozen=True)
class Explanation:
    """Why an image was taken for ``label``: the nearest support examples, and where in the image it is seen.

    ``probabilities`` (way,) in the order of the model's classes; ``heatmap`` (height, width) in 0..1, of the
    map that it was computed on; ``familiarity`` as the threshold of "none of these" judges it.
    """

    label: Label
    probabilities: np.ndarray = field(repr=False)
    familiarity: float
    neighbours: list[Neighbour]
    heatmap: np.ndarray = field(repr=False)

    @property
    def probability(self) -> float:
        """The probability of ``label``, 0..1."""
        return float(self.probabilities.max())


@dataclass(frozen=True)
class Judgement:
    """What a model says of n images: ``probabilities`` (n, way), and whether each is one of the classes.

    ``known`` (n,) bool is None where the support set is too small to tell.
    """

    probabilities: np.ndarray
    known: np.ndarray | None


@dataclass(frozen=True)
class AdaptedModel:
    """A meta-learner with the state of one task; ``classes`` names the outputs, in order.

    ``support`` holds the examples as the backbone takes them (photos: features and thumbnails), so that
    examples and classes can be added or taken away: each such call gives a new model.
    """

    metalearner: MetaLearner
    state: State
    classes: list[Label]
    support: Examples | None = None
    confidence: Confidence = field(default_factory=Confidence)

    def __repr__(self) -> str:
        """Say what it is in a line: the weights would fill the screen."""
        examples = "no" if self.support is None else len(self.support.y)
        return f"AdaptedModel({self.metalearner.label}, classes {self.classes}, {examples} examples)"

    def predict_proba(self, images: Images) -> np.ndarray:
        """Return calibrated class probabilities (n, way) of raw images; raises :class:`DataError`."""
        return self._probabilities(self._features(images)).cpu().numpy()

    def predict(self, images: Images, reject: bool = False) -> list[Label | None]:
        """Return the most probable class of each image, as it was labelled.

        With ``reject``, None for an image that is none of the classes; raises :class:`ConfigError` where the
        support set is too small to tell.
        """
        if not reject:
            return [self.classes[i] for i in self.predict_proba(images).argmax(1)]
        self._threshold()
        told = self.judge(images)
        best = told.probabilities.argmax(1)
        return [self.classes[i] if sure else None for i, sure in zip(best, told.known, strict=True)]

    @one_thread()
    def judge(self, images: Images) -> Judgement:
        """Return all of it from one look at raw ``images``; raises :class:`DataError`."""
        features = self._features(images)
        known = None
        if self.confidence.threshold is not None:
            known = (self._familiarity(features) >= self.confidence.threshold).cpu().numpy()
        return Judgement(self._probabilities(features).cpu().numpy(), known)

    def familiarity(self, images: Images) -> np.ndarray:
        """Return how like the support set each image is (n,): a cosine, -1..1. Raises :class:`DataError`."""
        return self._familiarity(self._features(images)).cpu().numpy()

    def knows(self, images: Images) -> np.ndarray:
        """Return for each image (n,) whether it is one of the classes. Raises :class:`ConfigError`."""
        return self.familiarity(images) >= self._threshold()

    @one_thread()
    def explain(self, image: np.ndarray | Tensor, neighbours: int = 3) -> Explanation:
        """Return why one raw image (H, W) or (H, W, C) is taken for what it is. Raises :class:`DataError`."""
        from metalab.explanation import heatmap

        support, one = self._support(), image[None]
        features, held = self._features(one), self._extract(support.x)
        probabilities = self._probabilities(features)[0].cpu().numpy()
        likeness = F.normalize(held, dim=1) @ F.normalize(features, dim=1)[0]
        best, order = int(probabilities.argmax()), likeness.argsort(descending=True)[:neighbours].tolist()
        near = [Neighbour(i, self.classes[int(support.y[i])], float(likeness[i])) for i in order]
        return Explanation(
            self.classes[best],
            probabilities,
            float(familiarity(held, features, support, len(self.classes))[0]),
            near,
            heatmap(self.metalearner, self.state, one, best),
        )

    def add_examples(self, images: Images, labels: Any) -> AdaptedModel:
        """Return a model adapted to these raw images as well; new labels become new classes."""
        held, names = self._support(), label_list(labels)
        classes = list(dict.fromkeys([*self.classes, *names]))
        added = _labelled(images, names, classes, self.metalearner)
        return adapt_examples(self.metalearner, held.joined(added), classes, calibrated=True)

    def add_class(self, label: Label, images: Images) -> AdaptedModel:
        """Return a model that knows class ``label`` too. Raises :class:`DataError` if it does already."""
        if label in self.classes:
            raise DataError(
                f"class {label!r} is there already", where="label", fix="Use add_examples, or another name"
            )
        return self.add_examples(images, [label] * len(images))

    def remove_class(self, label: Label) -> AdaptedModel:
        """Return a model without class ``label``. Raises :class:`DataError`."""
        if label not in self.classes:
            raise DataError(f"there is no class {label!r}", where="label", fix=f"Known: {self.classes}")
        if len(self.classes) < 3:
            raise DataError("two classes must stay", where="label", fix="Add another class first")
        support = without_class(self._support(), self.classes.index(label))
        classes = [name for name in self.classes if name != label]
        return adapt_examples(self.metalearner, support, classes, calibrated=True)

    def save(self, path: Path | str) -> None:
        """Write everything to one safetensors file. Raises :class:`StorageError`."""
        atomic_write(Path(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return what :meth:`save` writes."""
        tensors = {f"learner.{k}": v for k, v in self.metalearner.state_dict().items()}
        tensors |= {f"state.{k}": v for k, v in self.state.items()}
        if self.support is not None:
            tensors |= {"support.x": self.support.x, "support.y": self.support.y}
        meta = {
            "classes": self.classes,
            "confidence": asdict(self.confidence),
            **describe(self.metalearner),
        }
        return checkpoint_bytes("adapted-model", tensors, meta)

    def export(self, path: Path | str, format: Literal["onnx"] = "onnx") -> None:
        """Write the model for another runtime: see :func:`metalab.export.onnx_bytes`."""
        if format != "onnx":
            raise ConfigError(f"unknown format {format!r}", where="format", fix="Use 'onnx'")
        atomic_write(Path(path), self.to_onnx())

    def to_onnx(self) -> bytes:
        """Return what :meth:`export` writes."""
        from metalab.export import onnx_bytes

        return onnx_bytes(self)

    def _features(self, images: Images) -> Tensor:
        return self._extract(examples(images, self.metalearner.backbone))

    @torch.no_grad()
    def _extract(self, x: Tensor) -> Tensor:
        return torch.cat([self.metalearner.features(self.state, part) for part in self._parts(x)])

    @torch.no_grad()
    def _probabilities(self, features: Tensor) -> Tensor:
        logits = [self.metalearner.classify(self.state, part) for part in self._parts(features)]
        return F.softmax(torch.cat(logits) / self.confidence.temperature, dim=1)

    def _parts(self, x: Tensor) -> Sequence[Tensor]:
        """Return ``x`` in parts that need little memory, unless all must be judged together."""
        return [x] if self.metalearner.transductive else x.split(AT_ONCE)

    def _familiarity(self, features: Tensor) -> Tensor:
        support = self._support()
        return familiarity(self._extract(support.x), features, support, len(self.classes))

    def _threshold(self) -> float:
        if self.confidence.threshold is None:
            raise ConfigError(
                "too few examples to tell what is none of the classes",
                where="reject",
                fix="Give two examples of some class, or more",
            )
        return self.confidence.threshold

    def _support(self) -> Examples:
        if self.support is None:
            raise CheckpointError("this model came without its examples", fix="Adapt again from the images")
        return self.support


def load(path: Path | str) -> AdaptedModel | PictureModel | AnswerModel | WrittenModel | EventModel:
    """Read what an adapted model of any application saved; raises :class:`CheckpointError`."""
    from metalab import answer_model, event_model, picture_model, written_model

    kind = checkpoint_kind(path)
    if kind == picture_model.KIND:
        return picture_model.load_picture_model(path)
    if kind == answer_model.KIND:
        return answer_model.load_answer_model(path)
    if kind == written_model.KIND:
        return written_model.load_written_model(path)
    if kind == event_model.KIND:
        return event_model.load_event_model(path)
    tensors, meta = load_checkpoint(path, "adapted-model")
    metalearner = rebuild(meta, prefixed(tensors, "learner"), path)
    held = prefixed(tensors, "support")
    try:
        support = Examples(held["x"], held["y"]) if held else None
        confidence = Confidence(**meta.get("confidence", {}))  # earlier versions had none
        return AdaptedModel(
            metalearner, prefixed(tensors, "state"), list(meta["classes"]), support, confidence
        )
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"describes no adapted model ({error})", where=path) from None


def adapt(metalearner: MetaLearner, images: Images, labels: Any, calibrated: bool = True) -> AdaptedModel:
    """Adapt to labelled raw images; raises :class:`DataError` for fewer than two classes.

    ``images`` is an array (n, H, W), (n, H, W, C) or (n, C, H, W), or a list of images of different sizes.
    """
    names = label_list(labels)
    classes = list(dict.fromkeys(names))
    support = _labelled(images, names, classes, metalearner)
    if len(classes) < 2:
        raise DataError("a task needs at least two classes", where="train_labels", fix="Add another class")
    return adapt_examples(metalearner, support, classes, calibrated)


def label_list(labels: Any) -> list[Label]:
    """Return array-like ``labels`` as plain strings or numbers, which JSON can keep."""
    plain = labels.cpu() if isinstance(labels, Tensor) else labels
    return np.asarray(plain).ravel().tolist()


def adapt_examples(
    metalearner: MetaLearner, support: Examples, classes: Sequence[Label], calibrated: bool = False
) -> AdaptedModel:
    """Adapt to prepared ``support`` examples, whose labels are indices of ``classes``."""
    with torch.no_grad():
        state = metalearner.adapt(support, len(classes))
    confidence = calibrate(metalearner, support, len(classes)) if calibrated else Confidence()
    state = {name: tensor.detach() for name, tensor in state.items()}
    return AdaptedModel(metalearner, state, list(classes), support, confidence)


def _labelled(images: Images, names: list[Label], classes: list[Label], metalearner: MetaLearner) -> Examples:
    """Return raw images as examples, their labels as numbers of ``classes``. Raises :class:`DataError`."""
    if len(names) != len(images):
        raise DataError(f"{len(images)} images but {len(names)} labels", where="train_labels")
    x, number = examples(images, metalearner.backbone), {name: i for i, name in enumerate(classes)}
    return Examples(x, torch.tensor([number[name] for name in names], device=x.device))


def describe(metalearner: MetaLearner) -> dict[str, Any]:
    """Return the JSON-able description from which :func:`rebuild` makes the same module."""
    return {
        "metalearner": metalearner.name,
        "options": metalearner.options.model_dump(),
        "backbone": backbones.describe(metalearner.backbone),
    }


def rebuild(meta: dict[str, Any], tensors: dict[str, Tensor], where: object) -> MetaLearner:
    """Return the meta-learner that ``meta`` and ``tensors`` describe; raises :class:`CheckpointError`."""
    try:
        backbone = backbones.build(meta["backbone"])
        cls, options = get_metalearner(meta["metalearner"]), meta["options"]
        metalearner = cls(backbone, check_options(cls.name, options))
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"describes no known model ({error})", where=where) from None
    if left_out := [name for name in metalearner.state_dict().keys() - tensors.keys() if is_frozen(name)]:
        # Files that come with metalab leave out what a pip package holds.
        backbone.restore_frozen()
        held = metalearner.state_dict()
        tensors = tensors | {name: held[name] for name in left_out}
    load_into(metalearner, tensors, where)
    return metalearner


def load_metalearner(path: Path | str) -> MetaLearner:
    """Read a trained meta-learner; raises :class:`CheckpointError`."""
    tensors, meta = load_checkpoint(path, "metalearner")
    return rebuild(meta, tensors, path)
