"""The four steps as four calls; see :mod:`metalab`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from metalab.adaptation import AdaptedModel, label_list
from metalab.adaptation import adapt as adapt_to
from metalab.backbones import Backbone, create_backbone, seeded_initialisation
from metalab.config import CLASSIFIERS, RECOMMENDERS, WRITERS, Config
from metalab.data import TARGETS, create_source
from metalab.errors import ConfigError, DataError
from metalab.execution import choose_device
from metalab.metalearners import MetaLearner, check_options, get_metalearner
from metalab.pretraining import pretrain, ready_backbone
from metalab.progress import Progress
from metalab.tasks import TaskSource
from metalab.training import Trainer

if TYPE_CHECKING:
    from metalab.answer_model import AnswerModel
    from metalab.event_model import EventModel
    from metalab.picture_model import PictureModel
    from metalab.speaking import VoiceModel
    from metalab.written_model import WrittenModel

OnProgress = Callable[[Progress], Any]


@dataclass(frozen=True)
class TaskResult:
    """What :func:`task_learning` gives: predictions for the test data (n,), labels as given; probabilities
    (n, way) in the order of ``model.classes``, accuracy in 0..1 (None without test labels), the model.

    For pictures: predictions as :class:`metalab.picture_model.Prediction`, of which ``probabilities`` holds
    the scores; accuracy is mean IoU or AP50.
    """

    predictions: list[Any]
    probabilities: Any
    accuracy: float | None
    model: AdaptedModel | PictureModel


def create_pretrain_model(
    config: Config | None = None, source: TaskSource | None = None, on_progress: OnProgress | None = None
) -> Backbone:
    """Return a pre-trained backbone: the one that ``config.pretrained`` names, by default the shipped one.

    If none fits, it is trained by classification over the meta-train classes of ``source``. Raises
    :class:`DataError` when the source has nothing to train on, and :class:`CheckpointError`.
    """
    config = config or Config.create()
    device = choose_device(config.device)
    if (ready := ready_backbone(config)) is not None:
        return ready.to(device)
    source = source or create_source(config, device)
    backbone = create_backbone(config).to(device)
    for progress in pretrain(backbone, source, config):
        if on_progress:
            on_progress(progress)
    return backbone.eval()


def create_metalearner(
    name: str = "protonet", backbone: Backbone | None = None, *, seed: int = 0, **options: Any
) -> MetaLearner:
    """Return meta-learner ``name`` around a copy of ``backbone`` (None: one is pre-trained first).

    Raises :class:`ConfigError` for an unknown name or option.
    """
    checked = check_options(name, options)
    backbone = create_pretrain_model() if backbone is None else copy.deepcopy(backbone)
    with seeded_initialisation(seed):
        return get_metalearner(name)(backbone, checked).to(backbone.input_mean.device)


def train_metalearner(
    metalearner: MetaLearner,
    config: Config | None = None,
    source: TaskSource | None = None,
    on_progress: OnProgress | None = None,
) -> list[Progress]:
    """Meta-train in place over a distribution of tasks and return the history of progress events.

    The parameters that did best on meta-validation are in place at the end.
    """
    config = config or Config.create(metalearner=metalearner.name)
    source = source or create_source(config, next(metalearner.parameters()).device)
    history = []
    for progress in Trainer(metalearner, source, config).run():
        history.append(progress)
        if on_progress:
            on_progress(progress)
    return history


def task_learning(
    metalearner: MetaLearner,
    train_data: np.ndarray | Tensor,
    train_labels: Any,
    test_data: np.ndarray | Tensor,
    test_labels: Any = None,
) -> TaskResult:
    """Adapt to one task and predict.

    Images are (n, H, W), (n, H, W, C) arrays or (n, C, H, W) tensors, 0..255 integers or 0..1 floats, of
    any size; labels are strings or integers. Segmentation takes lists of images (H, W, 3) uint8 and of masks
    (H, W) of class numbers, 0 the ground; detection lists of boxes (k, 5): class number, then x1, y1, x2, y2
    in pixels. Question answering takes lists of (passage, question) and of answers, words of the passage.
    Translation and summarisation take lists of texts and of what is to be written for them.
    Recommendation takes inputs (n, 1 + features) of its source, and ratings or clicks.
    Raises :class:`DataError` saying what does not fit.
    """
    if metalearner.application == "question-answering":
        from metalab.answer_model import answer_task_learning

        return answer_task_learning(metalearner, train_data, train_labels, test_data, test_labels)
    if metalearner.application in RECOMMENDERS:
        from metalab.event_model import event_task_learning

        return event_task_learning(metalearner, train_data, train_labels, test_data, test_labels)
    if metalearner.application in WRITERS:
        from metalab.written_model import written_task_learning

        return written_task_learning(metalearner, train_data, train_labels, test_data, test_labels)
    if metalearner.application not in CLASSIFIERS:
        from metalab.picture_model import picture_task_learning

        return picture_task_learning(metalearner, train_data, train_labels, test_data, test_labels)
    model = adapt_to(metalearner, train_data, train_labels, calibrated=False)
    probabilities = model.predict_proba(test_data)
    predictions = [model.classes[i] for i in probabilities.argmax(1)]
    accuracy = None
    if test_labels is not None:
        truth = label_list(test_labels)
        if len(truth) != len(predictions):
            raise DataError(f"{len(predictions)} test images but {len(truth)} labels", where="test_labels")
        accuracy = float(np.mean([p == t for p, t in zip(predictions, truth, strict=True)]))
    return TaskResult(predictions, probabilities, accuracy, model)


def adapt(
    application: str, data: Any, labels: Any = None
) -> AdaptedModel | AnswerModel | EventModel | PictureModel | VoiceModel | WrittenModel:
    """Adapt the ready model of ``application`` to a few labelled examples: nothing is meta-trained.

    image-classification: ``data`` is an array of images, a list of images of different sizes, or of paths.
    speech-recognition: recordings of words, as paths, contents of files, samples at 16 kHz, or (samples,
    rate). question-answering: lists of (passage, question) and of answers. translation and summarisation:
    lists of texts and of what is to be written for them. segmentation and detection: lists of images and of
    masks or boxes, as :func:`task_learning` takes them. product-recommendation: names of products and their
    ratings; ad-recommendation: names of viewers and whether they clicked (0, 1).
    speech-synthesis: recordings of one voice, without labels; ``say(text)`` then gives samples at 16 kHz.
    Raises :class:`ConfigError` for another application, and :class:`DataError`.
    """
    if application == "speech-synthesis":
        from metalab.speaking import adapt_voice

        return adapt_voice(data)
    if application in TARGETS:
        from metalab.data.labelled_arrays import labelled_arrays
        from metalab.picture_choice import adapt_best as adapt_suited

        pictures = labelled_arrays(data, labels, TARGETS[application], "labels")
        return adapt_suited(application, pictures)[0]
    if application == "question-answering":
        from metalab.answer_model import adapt_answers, answered
        from metalab.shipped import load_trained, shipped

        learner = load_trained(next(iter(shipped(application)))).metalearner
        return adapt_answers(learner, answered(data, labels, "labels"))
    if application in RECOMMENDERS:
        from metalab.catalogue import Catalogue
        from metalab.event_model import adapt_events
        from metalab.shipped import load_trained, shipped

        ready = load_trained(next(iter(shipped(application))))
        return adapt_events(ready.metalearner, Catalogue.of(create_source(ready.config)), data, labels)
    if application == "speech-recognition":
        from metalab.shipped import first_shipped

        return adapt_to(first_shipped(application), data, labels)
    if application in WRITERS:
        from metalab.shipped import first_shipped
        from metalab.written_model import adapt_writer, text_pairs

        return adapt_writer(first_shipped(application), text_pairs(application, data, labels, "labels"))
    if application != "image-classification":
        raise ConfigError(
            f"unknown application {application!r}",
            where="application",
            fix="Use image-classification, segmentation, detection, question-answering, speech-recognition, "
            "speech-synthesis, translation, "
            "summarisation, product-recommendation or ad-recommendation",
        )
    from metalab.choice import adapt_best
    from metalab.data.reading import read_image

    if len(data) and isinstance(data[0], str | Path):
        data = [read_image(path) for path in data]
    return adapt_best(data, labels).model
