"""The command evaluate: trained models, or the ready ones on own images, against every baseline."""

from __future__ import annotations

import argparse
from pathlib import Path

from metalab.commands import AddCommand
from metalab.commands.own import evaluate_own
from metalab.commands.shown import bar, print_table, tell
from metalab.config import APPLICATIONS, RECOMMENDERS, WRITERS
from metalab.errors import ConfigError

IMAGES, QUESTIONS, SPEECH = "image-classification", "question-answering", "speech-recognition"


def add_commands(command: AddCommand) -> None:
    """Add the command of this module."""
    evaluate = command("evaluate", _evaluate, "measure a trained model and the baselines on held-out tasks")
    evaluate.add_argument(
        "--model",
        action="append",
        help="a shipped model's name, or a run's id; give it again to compare several (default: all shipped)",
    )
    evaluate.add_argument(
        "--application",
        choices=APPLICATIONS,
        help="the shipped models of another application; with --data, the ready ones on own data",
    )
    evaluate.add_argument("--source", help="another source of tasks, such as digits (default: its own)")
    evaluate.add_argument(
        "--data", type=Path, help="folder, zip, CSV, JSON or .npz (see adapt): everything in it is meta-test"
    )
    evaluate.add_argument(
        "--leave-out",
        action="store_true",
        help="of annotated pictures: go on without what cannot be used, instead of stopping",
    )
    evaluate.add_argument("--exclude", action="append", default=[], help="an alphabet to leave out")
    for name in ("way", "shot", "query"):
        evaluate.add_argument(f"--{name}", type=int, help="default: as the model was trained")
    evaluate.add_argument("--tasks", type=int, default=600, help="held-out tasks (default: 600)")
    evaluate.add_argument("--json", action="store_true", help="end with the table as one line of JSON")
    evaluate.add_argument(
        "--format", choices=("text", "json", "markdown"), default="text", help="how to print the table"
    )


def _evaluate(arguments: argparse.Namespace) -> int:
    if arguments.application == IMAGES and not arguments.model:
        return evaluate_own(arguments)
    if arguments.application in RECOMMENDERS and arguments.data and not arguments.model:
        return _evaluate_events(arguments)
    from metalab.backbones import same_weights
    from metalab.data import create_test_source
    from metalab.evaluation import Evaluation, evaluate
    from metalab.shipped import load_trained, shipped
    from metalab.training import task_shape

    of = arguments.application or IMAGES
    known = shipped(of)
    of_one_backbone = [
        name
        for name, one in known.items()
        if one.config.backbone == next(iter(known.values())).config.backbone
    ]
    models = {which: load_trained(which) for which in arguments.model or of_one_backbone}
    first = next(iter(models.values()))
    for which, trained in models.items():
        if not same_weights(trained.pretrained, first.pretrained):
            raise ConfigError(
                f"stands on another pre-trained backbone than {next(iter(models))!r}",
                where=which,
                fix="Evaluate it alone: the baselines are those of one backbone",
            )
    asked = {name: getattr(arguments, name) for name in ("way", "shot", "query")}
    given = {k: v for k, v in asked.items() if v is not None}
    config = first.config.replace(**given, leave_out=arguments.leave_out)
    place = arguments.source
    if arguments.data and place is None and config.application == QUESTIONS:
        place = "answered"
    elif arguments.data and place is None and config.application in WRITERS:
        place = "pairs"
    elif arguments.data and place is None and config.application == SPEECH:
        place = "recordings"
    elif arguments.data and place is None and config.application != IMAGES:
        place = "annotated"
    source = create_test_source(config, place, arguments.data, tuple(arguments.exclude))
    tell(getattr(source, "notes", ()))
    if arguments.tasks < 2:
        raise ConfigError("an interval needs at least two tasks", where="--tasks")
    learners = {which: trained.metalearner for which, trained in models.items()}
    shape, table = task_shape(config, "test", source), {}
    with bar() as show:
        for item in evaluate(learners, first.pretrained, source, shape, arguments.tasks):
            if isinstance(item, Evaluation):
                table = item.as_dict()
            else:
                show(item)
    print_table(table, arguments)
    return 0


def _evaluate_events(arguments: argparse.Namespace) -> int:
    """Train on most users (or campaigns) of own data and judge by the others: no shipped model knows them."""
    from metalab.api import create_metalearner, create_pretrain_model, train_metalearner
    from metalab.config import Config
    from metalab.data import create_source
    from metalab.evaluation import Evaluation, evaluate
    from metalab.metalearners import metalearners
    from metalab.shipped import shipped
    from metalab.tasks import TaskShape

    of = arguments.application
    place = arguments.source or ("ratings" if of == "product-recommendation" else "clicks")
    shape = {name: getattr(arguments, name) for name in ("shot", "query") if getattr(arguments, name)}
    config = Config.create(
        application=of, source=place, data=arguments.data, leave_out=arguments.leave_out, **shape
    )
    source, learners, table = create_source(config), {}, {}
    tell(getattr(source, "notes", ()))
    judged = TaskShape(1, config.shot, config.query)
    source.check(judged, "test")
    with bar() as show:
        pretrained = create_pretrain_model(config, source, show)
        for name in [name for name in metalearners(of) if name in shipped(of)]:
            learners[name] = create_metalearner(name, pretrained, seed=config.seed)
            train_metalearner(learners[name], config.replace(metalearner=name), source, show)
        tasks = min(arguments.tasks, len(source.eligible("test", config.shot)))
        for item in evaluate(learners, pretrained.frozen_copy(), source, judged, tasks):
            if isinstance(item, Evaluation):
                table = item.as_dict()
            else:
                show(item)
    print_table(table, arguments)
    return 0
