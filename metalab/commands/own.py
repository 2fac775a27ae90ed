"""Commands about own data and adapted models: adapt, predict, serve; and evaluating on own images."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from metalab.commands import AddCommand
from metalab.commands.shown import bar, print_table, tell
from metalab.config import APPLICATIONS, RECOMMENDERS, WRITERS
from metalab.errors import ConfigError

if TYPE_CHECKING:
    from metalab.answer_model import AnswerModel
    from metalab.data.event_rows import EventRows
    from metalab.event_model import EventModel
    from metalab.metalearners import MetaLearner
    from metalab.picture_model import PictureModel
    from metalab.written_model import WrittenModel


def add_commands(command: AddCommand) -> None:
    """Add the commands of this module."""
    adapt = command("adapt", _adapt, "adapt a trained model to a folder of examples (step 4)")
    adapt.add_argument(
        "--model",
        default="auto",
        help="photo, a shipped model's name, a run's id, or local:NAME, weights of torchvision or timm "
        "on this machine (local: lists them; default: auto, what suits the images)",
    )
    adapt.add_argument(
        "--application",
        choices=APPLICATIONS,
        default="image-classification",
        help="what is learnt from the examples (default: image-classification)",
    )
    adapt.add_argument(
        "--support",
        required=True,
        type=Path,
        metavar="DATA",
        help="folder or zip with one sub-folder per class (of images, or of recordings), a CSV of "
        "(path, label), or a .npz with the arrays "
        "images (or X) and labels (or y); for masks and boxes COCO, Pascal VOC, or images/ and masks/; for "
        "questions SQuAD's .json, .jsonl, or a .csv with passage, question and answer; for translation "
        "and summarisation .csv, .json or .jsonl with source and target, or document and summary; .tmx, .po; "
        "for recommendation .csv with item and rating, or clicked and what describes an impression",
    )
    adapt.add_argument(
        "--leave-out",
        action="store_true",
        help="of images and annotated pictures: go on without what cannot be used, instead of stopping",
    )
    adapt.add_argument("--group", help="of a file of several languages or packages: the one to learn")
    adapt.add_argument("--out", required=True, type=Path, metavar="FILE", help="where the adapted model goes")

    predict = command(
        "predict",
        _predict,
        "classify images, find objects in them, answer questions, translate or sum up, with an adapted model",
    )
    predict.add_argument("--model", required=True, type=Path, metavar="FILE", help="written by adapt")
    predict.add_argument(
        "images",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="image files; for texts text files; for recommenders tables of what to judge (without one: the "
        "best of the catalogue)",
    )
    predict.add_argument("--top", type=int, default=10, help="of the catalogue (default: 10)")
    predict.add_argument("--question", help="of a question answerer: what to find in each text file")
    predict.add_argument(
        "--lines", action="store_true", help="of a translator or summariser: each line of a file is a text"
    )
    predict.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="of a segmenter: write a PNG of class numbers for each image",
    )

    serve = command(
        "serve", _serve, "answer HTTP requests with an adapted model (/predict, /examples, /health)"
    )
    serve.add_argument("model", type=Path, metavar="FILE", help="written by adapt, or downloaded from a page")
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: only this machine)"
    )
    serve.add_argument("--port", type=int, default=8700, help="(default: 8700)")
    serve.add_argument("--token-file", type=Path, metavar="FILE", help="requests must bring this file's text")
    serve.add_argument("--keep", action="store_true", help="write added examples back to FILE")
    serve.add_argument("--megabytes", type=int, default=20, help="largest request (default: 20)")
    serve.add_argument("--seconds", type=float, default=10.0, help="longest answer (default: 10)")


def _adapt(arguments: argparse.Namespace) -> int:
    from metalab.choice import AUTO, adapt_as_asked, ready
    from metalab.data.reading import read_images, require_classes

    if arguments.application == "question-answering":
        return _adapt_answers(arguments)
    if arguments.application == "speech-recognition":
        return _adapt_words(arguments)
    if arguments.application in WRITERS:
        return _adapt_texts(arguments)
    if arguments.application in RECOMMENDERS:
        return _adapt_events(arguments)
    if arguments.application != "image-classification":
        return _adapt_pictures(arguments)
    if arguments.model != AUTO:
        ready(arguments.model)  # an unknown one is said before anything is read
    held = require_classes(read_images(arguments.support, strict=not arguments.leave_out))
    choice = adapt_as_asked(held.images, held.labels, arguments.model)
    model, why = choice.model, f"{choice.model.metalearner.label}: {choice.reason}"
    model.save(arguments.out)
    tell(held.notes)
    print(f"{arguments.out}: {len(model.classes)} classes from {len(held.labels)} images. {why}")
    return 0


def _adapt_pictures(arguments: argparse.Namespace) -> int:
    from metalab.choice import AUTO
    from metalab.data import TARGETS
    from metalab.data.annotated import read_annotated
    from metalab.data.labelled import unseen
    from metalab.picture_choice import adapt_best, named
    from metalab.picture_model import adapt_pictures

    learner = None if arguments.model == AUTO else _chosen(arguments)
    target = TARGETS[arguments.application]
    held = read_annotated(arguments.support, target=target, leave_out=arguments.leave_out)
    labelled = [picture for picture in held.pictures if picture.instances]
    if learner is None:
        model, choice = adapt_best(arguments.application, labelled)
        why = f"{named(choice.name)}: {choice.reason}"
    else:
        model, why = adapt_pictures(learner, labelled), learner.label
    model.save(arguments.out)
    tell([*held.notes, *unseen(labelled, model.classes, model.size, target)])
    print(f"{arguments.out}: {', '.join(model.classes)}, from {len(labelled)} pictures. {why}")
    return 0


def _adapt_answers(arguments: argparse.Namespace) -> int:
    from metalab.answer_model import adapt_answers
    from metalab.data.answered import read_answered

    learner = _chosen(arguments)
    held = read_answered(arguments.support)
    adapt_answers(learner, held.items).save(arguments.out)
    tell(held.notes)
    print(f"{arguments.out}: from {len(held.items)} answered questions. {learner.label}")
    return 0


def _adapt_words(arguments: argparse.Namespace) -> int:
    from metalab.data.recordings import read_recordings
    from metalab.own_words import adapt_words

    learner = _chosen(arguments)
    words, notes = read_recordings(arguments.support, arguments.leave_out)
    adapt_words(learner, words).save(arguments.out)
    tell(notes)
    count = sum(map(len, words.values()))
    print(f"{arguments.out}: {len(words)} words from {count} recordings. {learner.label}")
    return 0


def _adapt_texts(arguments: argparse.Namespace) -> int:
    from metalab.data.pairs_in import read_pairs
    from metalab.written_model import adapt_writer, cut_notes

    learner = _chosen(arguments)
    held = read_pairs(arguments.support, arguments.application)
    pairs = held.only(arguments.group)
    adapt_writer(learner, pairs).save(arguments.out)
    tell([*held.notes, *cut_notes(learner, pairs, str(arguments.support))])
    print(f"{arguments.out}: from {len(pairs)} pairs of texts. {learner.label}")
    return 0


def _adapt_events(arguments: argparse.Namespace) -> int:
    from metalab.catalogue import Catalogue
    from metalab.choice import AUTO
    from metalab.data import create_source
    from metalab.data.event_rows import read_rows
    from metalab.event_model import adapt_table
    from metalab.shipped import load_trained, shipped

    learner = _chosen(arguments)
    which = next(iter(shipped(arguments.application))) if arguments.model == AUTO else arguments.model
    clicks = learner.backbone.clicks
    table = read_rows(arguments.support, "clicks" if clicks else "ratings")
    catalogue = Catalogue.of(create_source(load_trained(which).config))
    model = adapt_table(learner, catalogue, table)
    _tell_lacking(model, table)
    model.save(arguments.out)
    unknown = len(table.names) - len(model.given)
    what = "impressions" if clicks else "ratings"
    print(f"{arguments.out}: from {len(table.names)} {what}, {unknown} of unknown ones. {learner.label}")
    return 0


def _predict_events(model: EventModel, arguments: argparse.Namespace) -> int:
    """Print one line of JSON for each row of the tables; without a table, for the best of the catalogue."""
    from metalab.data.event_rows import read_rows

    kind = "clicks" if model.metalearner.backbone.clicks else "ratings"
    if not arguments.images:
        found = model.suggest(arguments.top)
        if not found:
            raise ConfigError(
                "nothing is left in the catalogue",
                where="FILE",
                fix="Name a table of what to judge",
            )
        for one in found:
            print(json.dumps(one.as_dict(), ensure_ascii=False))
    for path in arguments.images:
        table = read_rows(path, kind, outcomes=False)
        _tell_lacking(model, table)
        for one in model.predict_table(table):
            print(json.dumps({"file": str(path), **one.as_dict()}, ensure_ascii=False))
    return 0


def _tell_lacking(model: EventModel, table: EventRows) -> None:
    """Say which columns that describe an event are not in ``table``."""
    if lacking := model.catalogue.lacking(table.rows):
        tell([f"{table.where}: no column {', '.join(lacking)}: nothing is known of it in these rows"])


def _chosen(arguments: argparse.Namespace) -> MetaLearner:
    """Return the meta-learner that ``--model`` names, by default the first shipped one of the application."""
    from metalab.choice import AUTO
    from metalab.shipped import first_shipped, load_trained

    if arguments.model == AUTO:
        return first_shipped(arguments.application)
    learner = load_trained(arguments.model).metalearner
    if learner.application != arguments.application:
        raise ConfigError(
            f"is for {learner.application}", where=arguments.model, fix="Choose another --model"
        )
    return learner


def _predict_answers(model: AnswerModel, arguments: argparse.Namespace) -> int:
    """Print one line of JSON for each text file: the answer, where it stands, and how sure it is."""
    from dataclasses import asdict

    from metalab.data.answered import read_text

    if not arguments.question:
        raise ConfigError(
            "what is asked?", where="--question", fix='Give a question, such as "default of x?"'
        )
    texts = [read_text(path) for path in arguments.images]
    found = model.predict(texts, [arguments.question] * len(texts))
    for path, one in zip(arguments.images, found, strict=True):
        print(json.dumps({"file": str(path), **asdict(one)}, ensure_ascii=False))
    return 0


def _predict_texts(model: WrittenModel, arguments: argparse.Namespace) -> int:
    """Print one line of JSON for each text: what is written, how sure it is, and what was copied."""
    from metalab.data.answered import read_text

    places, texts = [], []
    for path in arguments.images:
        held = read_text(path)
        for number, text in enumerate(held.splitlines() if arguments.lines else [held], 1):
            if text.strip() or not arguments.lines:
                places.append({"file": str(path), **({"line": number} if arguments.lines else {})})
                texts.append(text)
    for place, one in zip(places, model.predict(texts), strict=True):
        print(json.dumps({**place, **one.as_dict()}, ensure_ascii=False))
    return 0


def _predict_pictures(model: PictureModel, arguments: argparse.Namespace) -> int:
    """Print COCO JSON of what is found; with ``--masks`` also write the PNGs."""
    from metalab.data.reading import read_image
    from metalab.picture_model import coco_results, mask_file
    from metalab.storage import atomic_write

    images = [read_image(path) for path in arguments.images]
    found = model.predict(images, [str(path) for path in arguments.images])
    if arguments.masks is not None:
        if model.application != "segmentation":
            raise ConfigError("this model finds boxes, no masks", where="--masks")
        for path, one in zip(arguments.images, found, strict=True):
            atomic_write(arguments.masks / f"{path.stem}.png", mask_file(one, model.classes))
    print(json.dumps(coco_results(found), ensure_ascii=False))
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    from metalab.adaptation import load
    from metalab.answer_model import AnswerModel
    from metalab.backbones import Listener
    from metalab.data.reading import read_image
    from metalab.event_model import EventModel
    from metalab.picture_model import PictureModel
    from metalab.runs import RunStore
    from metalab.shipped import shipped
    from metalab.written_model import WrittenModel

    name = str(arguments.model)
    if not arguments.model.exists() and name in {*shipped(), *(run.id for run in RunStore().list())}:
        raise ConfigError(
            f"{name!r} is a meta-learner, not yet adapted to your classes",
            where="--model",
            fix=f"First: python -m metalab adapt --model {name} --support DIR --out FILE, then --model FILE",
        )
    model = load(arguments.model)
    if isinstance(model, EventModel):
        return _predict_events(model, arguments)
    if not arguments.images:
        raise ConfigError("which files?", where="FILE", fix="Name one or more")
    if isinstance(model, PictureModel):
        return _predict_pictures(model, arguments)
    if isinstance(model, AnswerModel):
        return _predict_answers(model, arguments)
    if isinstance(model, WrittenModel):
        return _predict_texts(model, arguments)
    hears = isinstance(model.metalearner.backbone, Listener)
    told = model.judge(arguments.images if hears else [read_image(path) for path in arguments.images])
    known = [None] * len(arguments.images) if told.known is None else told.known.tolist()
    for path, probabilities, sure in zip(arguments.images, told.probabilities, known, strict=True):
        best = int(probabilities.argmax())
        row = {
            "recording" if hears else "image": str(path),
            "class": model.classes[best],
            "probability": round(float(probabilities[best]), 4),
            "known": sure,
        }
        print(json.dumps(row, ensure_ascii=False))
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from metalab.service import MEGABYTE, Service, ServiceLimits, serve

    token = None
    if arguments.token_file is not None:
        try:
            token = arguments.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot be read ({error})", where=arguments.token_file) from None
    limits = ServiceLimits(arguments.megabytes * MEGABYTE, arguments.seconds)
    service = Service(arguments.model, limits, token, arguments.keep)
    url = f"http://{arguments.host}:{arguments.port}"
    print(f"{url}: POST an image to /predict: curl --data-binary @IMAGE {url}/predict", file=sys.stderr)
    serve(service, arguments.host, arguments.port)
    return 0


def evaluate_own(arguments: argparse.Namespace) -> int:
    """Measure the ready models on held-out tasks over own images (``evaluate --application``)."""
    from metalab.own import evaluate_own
    from metalab.tasks import TaskShape

    if arguments.data is None:
        raise ConfigError("which images?", where="--data", fix="Give a folder or zip with a folder per class")
    shape, table = TaskShape(arguments.way or 5, arguments.shot or 5, arguments.query or 15), {}
    with bar() as show:
        for item in evaluate_own(arguments.data, shape, arguments.tasks):
            if isinstance(item, dict):
                table = item
            else:
                show(item)
    tell(table.pop("notes"))
    print_table(table, arguments)
    return 0
