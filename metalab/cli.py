"""The command line. Flags of ``train`` come from the one configuration; errors are one line, status 2."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metalab.bench import BENCHES
from metalab.errors import ConfigError, MetalabError

RUNS_USAGE = "runs [RUN [--stop | --delete | --log]]"


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="python -m metalab",
        description="Few-shot learning that people can use and see. First train, then adapt, then predict.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, do: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        added.set_defaults(do=do)
        return added

    pretrain = command("pretrain", _pretrain, "pre-train a backbone (step 2) and keep it in a file")
    pretrain.add_argument("--out", required=True, type=Path, metavar="FILE", help="for train --pretrained")
    _add_config(pretrain, ("Task", "Backbone"))

    train = command("train", _train, "pre-train, meta-train and evaluate (steps 1 to 4) as a run")
    train.add_argument("--name", help="a readable name for the run")
    train.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the meta-learner"
    )
    _add_config(train)

    resume = command("resume", _resume, "continue a stopped or failed run from its last checkpoint")
    resume.add_argument("run", help="the run's id (see: runs)")

    runs = command("runs", _runs, "list all runs; with a run's id, what is known of it")
    runs.usage = f"python -m metalab {RUNS_USAGE}"
    runs.add_argument("run", nargs="*", metavar="RUN", help="a run's id")
    action = runs.add_mutually_exclusive_group()
    action.add_argument("--stop", action="store_true", help="stop it; it saves a checkpoint first")
    action.add_argument("--delete", action="store_true", help="delete it with all its files")
    action.add_argument("--log", action="store_true", help="print the end of its log")

    report = command("report", _report, "write what is known of a run as one HTML file that opens anywhere")
    report.add_argument("run", help="the run's id (see: runs)")
    report.add_argument("--out", required=True, type=Path, metavar="FILE", help="where the report goes")

    evaluate = command("evaluate", _evaluate, "measure a trained model and the baselines on held-out tasks")
    evaluate.add_argument(
        "--model",
        action="append",
        help="a shipped model's name, or a run's id; give it again to compare several (default: all shipped)",
    )
    evaluate.add_argument(
        "--application",
        choices=("image-classification",),
        help="with --data: the ready models for own images",
    )
    evaluate.add_argument("--source", help="another source of tasks, such as digits (default: its own)")
    evaluate.add_argument("--data", type=Path, help="folder or zip: everything in it is meta-test")
    evaluate.add_argument("--exclude", action="append", default=[], help="an alphabet to leave out")
    for name in ("way", "shot", "query"):
        evaluate.add_argument(f"--{name}", type=int, help="default: as the model was trained")
    evaluate.add_argument("--tasks", type=int, default=600, help="held-out tasks (default: 600)")
    evaluate.add_argument("--json", action="store_true", help="end with the table as one line of JSON")
    evaluate.add_argument(
        "--format", choices=("text", "json", "markdown"), default="text", help="how to print the table"
    )

    adapt = command("adapt", _adapt, "adapt a trained model to a folder of examples (step 4)")
    adapt.add_argument(
        "--model",
        default="auto",
        help="photo, a shipped model's name, or a run's id (default: auto, what suits the images)",
    )
    adapt.add_argument(
        "--support", required=True, type=Path, metavar="DIR", help="folder or zip, one sub-folder per class"
    )
    adapt.add_argument("--out", required=True, type=Path, metavar="FILE", help="where the adapted model goes")

    predict = command("predict", _predict, "classify images with an adapted model")
    predict.add_argument("--model", required=True, type=Path, metavar="FILE", help="written by adapt")
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")

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

    ship = command("ship", _ship, "make the checkpoints that come with metalab")
    ship.add_argument(
        "names", nargs="*", metavar="NAME", help="conv4, a meta-learner, evaluation (default: these), or lake"
    )

    group = ship.add_argument_group("lake, the matcher of Omniglot's one-shot runs (made only when named)")
    group.add_argument("--data", type=Path, metavar="OMNIGLOT", help="zip, or folder of zips, to train on")
    group.add_argument("--exclude", action="append", default=[], help="an alphabet to leave out (repeatable)")
    group.add_argument("--steps", type=int, help="its budget (default: that of the shipped one)")
    group.add_argument("--seed", type=int, help="of the training (default: 0; with --start 1)")
    group.add_argument(
        "--start",
        type=Path,
        metavar="FILE",
        help="go on from this checkpoint, with gentler changes of drawings",
    )
    group.add_argument("--out", type=Path, metavar="FILE", help="where to write (default: the shipped one)")

    bench = command("bench", _bench, "measure on this machine; bench NAME --help says what")
    bench.add_argument("name", choices=BENCHES, help="; ".join(f"{k}: {v}" for k, v in BENCHES.items()))
    bench.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="options of the benchmark")
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 the run failed, 2 wrong input, 130 interrupted."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.do(arguments)
    except MetalabError as error:
        print(f"metalab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # "runs | head" has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _add_config(command: argparse.ArgumentParser, only: tuple[str, ...] = ()) -> None:
    from metalab.config import Config

    groups: dict[str, Any] = {}
    for name, field in Config.model_fields.items():
        group = field.json_schema_extra["group"]  # type: ignore[index,call-overload]
        if name == "options" or (only and group not in only and name not in ("seed", "device")):
            continue
        groups.setdefault(group, command.add_argument_group(group))
        choices = _choices(field.annotation)
        given = "" if field.default is None else f" (default: {field.default})"
        groups[group].add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            default=argparse.SUPPRESS,
            choices=None if choices and "auto" in choices and name == "pretrained" else choices,
            metavar=None if choices and name != "pretrained" else "VALUE",
            help=f"{field.description}{given}".replace("%", "%%"),
        )


def _choices(annotation: Any) -> list[str] | None:
    """Return the values of a Literal annotation as text."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(filter(None, map(_choices, typing.get_args(annotation))), None)
    if typing.get_origin(annotation) is typing.Literal:
        return [str(value) for value in typing.get_args(annotation)]
    return None


def _config(arguments: argparse.Namespace) -> Any:
    from metalab.config import Config

    given = {k: v for k, v in vars(arguments).items() if k in Config.model_fields}
    if "channels" in given:
        given["channels"] = int(given["channels"])
    options = {}
    for item in getattr(arguments, "option", []):
        name, separator, value = item.partition("=")
        if not separator:
            raise ConfigError(f"{item!r} is not NAME=VALUE", where="--option")
        options[name] = value
    return Config.create(**given, options=options)


def _pretrain(arguments: argparse.Namespace) -> int:
    from metalab.api import create_pretrain_model
    from metalab.pretraining import save_backbone

    with _bar() as show:
        backbone = create_pretrain_model(_config(arguments).replace(pretrained="none"), on_progress=show)
    save_backbone(arguments.out, backbone)
    print(f"{arguments.out}: use it with train --pretrained {arguments.out}")
    return 0


@contextmanager
def _bar() -> Iterator[Callable[[Any], None]]:
    """Give a function that shows progress events on one line."""
    from tqdm import tqdm

    with tqdm(unit="step", leave=False, disable=None) as bar:

        def show(progress: Any) -> None:
            if bar.total != progress.steps or progress.step < bar.n:
                bar.reset(total=progress.steps)
            numbers = {"loss": progress.loss, "accuracy": progress.accuracy}
            bar.set_description(progress.message or progress.kind)
            bar.set_postfix({k: f"{v:.3f}" for k, v in numbers.items() if v is not None}, refresh=False)
            bar.update(progress.step - bar.n)

        yield show


def _train(arguments: argparse.Namespace) -> int:
    from metalab.data import create_source
    from metalab.runs import RunStore
    from metalab.training import preflight

    config = _config(arguments)
    preflight(config, create_source(config))
    return _follow(RunStore().create(config, arguments.name))


def _resume(arguments: argparse.Namespace) -> int:
    from metalab.runs import RunStore

    return _follow(RunStore().get(arguments.run))


def _follow(run: Any) -> int:
    """Submit ``run``, draw its progress until it ends; Ctrl-C stops it with a checkpoint."""
    from tqdm import tqdm

    from metalab.jobs import LocalBackend
    from metalab.overview import still_to_come

    backend, config = LocalBackend(), run.config
    status = backend.submit(run)
    print(
        f"run {run.id}: {config.steps:,} steps, {still_to_come('meta-training', config)} "
        "(train --test-tasks 100 makes that shorter)",
        file=sys.stderr,
    )
    try:
        with tqdm(total=None, unit="step", leave=False, disable=None) as bar:
            while not status.ended:
                time.sleep(0.3)
                status = backend.status(run)
                if status.steps and bar.total != status.steps:
                    bar.reset(total=status.steps)
                waiting = status.message if status.state == "queued" else ""
                then = still_to_come(status.stage, config) if status.stage else ""
                doing = ", ".join(filter(None, (status.stage or status.state, then)))
                bar.set_description(waiting or doing)
                bar.update(status.step - bar.n)
    except KeyboardInterrupt:
        print("\nstopping after a checkpoint …", file=sys.stderr)
        backend.cancel(run)
        while not (status := backend.status(run)).ended:
            time.sleep(0.2)
        print(f"{status.state}; continue with: python -m metalab resume {run.id}", file=sys.stderr)
        return 130
    if status.state == "done":
        _table(run.read_json("evaluation"))
        return 0
    print(f"metalab: the run {status.state}: {status.error or run.resume_hint()}", file=sys.stderr)
    return 1


def _table(evaluation: dict[str, Any], markdown: bool = False) -> None:
    """Print rows, best first, each meta-learner with its paired difference to the best baseline."""
    from metalab.evaluation import least_gain

    if markdown:
        print("| method | accuracy | against the best baseline |\n| --- | --- | --- |")
    for row in sorted(evaluation["rows"], key=lambda row: -row["accuracy"]):
        label = row["label"] + (" (transductive)" if row["transductive"] else "")
        figure = f"{100 * row['accuracy']:.1f} ± {100 * row['interval']:.1f} %"
        gain = least_gain(evaluation, row["method"])
        paired = f"{100 * gain['difference']:+.1f} ± {100 * gain['interval']:.1f}" if gain else ""
        if markdown:
            print(f"| {label} | {figure} | {paired} |")
        else:
            print(f"{label:<42} {figure:>14}  {paired and f'{paired} points against the best baseline'}")
    print(
        f"{evaluation['way']}-way {evaluation['shot']}-shot, {evaluation['rows'][0]['tasks']} tasks of the "
        f"{evaluation['split']} split, mean ± 95 % interval, the same tasks for every row"
    )
    print(evaluation["verdict"])


def _runs(arguments: argparse.Namespace) -> int:
    from metalab.jobs import LocalBackend
    from metalab.runs import RunStore

    store = RunStore()
    backend = LocalBackend(store)
    if len(arguments.run) > 1 or set(arguments.run) & {"list", "show", "stop", "delete", "log"}:
        raise ConfigError(
            f"takes the id of one run (given: {' '.join(arguments.run)})",
            where="runs",
            fix=f"Usage: {RUNS_USAGE}",
        )
    if not arguments.run:
        if arguments.stop or arguments.delete or arguments.log:
            raise ConfigError("which run?", where="runs", fix="Give its id (see: runs)")
        for run in store.list():
            status = backend.status(run)
            doing = f"{status.stage} {status.step}/{status.steps}" if status.active else ""
            print(f"{run.id}  {status.state:<8} {run.name}  {doing}".rstrip())
        return 0
    run = store.get(arguments.run[0])
    if arguments.stop:
        backend.cancel(run)
        print(f"stopping; continue with: python -m metalab resume {run.id}")
        return 0
    if arguments.delete:
        store.delete(run.id)
        print(f"deleted {run.id}")
        return 0
    if arguments.log:
        print(run.tail_log())
        return 0
    status = backend.status(run)
    print(f"{run.name}: {status.state} {status.error or ''}")
    print(run.config.to_json())
    if run.has("evaluation.json"):
        _table(run.read_json("evaluation"))
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from metalab.report import report_html
    from metalab.runs import RunStore
    from metalab.storage import atomic_write

    atomic_write(arguments.out, report_html(RunStore().get(arguments.run)).encode())
    print(f"{arguments.out}: open it in any browser")
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    if arguments.application and not arguments.model:
        return _evaluate_own(arguments)
    from metalab.backbones import same_weights
    from metalab.data import create_test_source
    from metalab.evaluation import Evaluation, evaluate
    from metalab.shipped import load_trained, shipped
    from metalab.training import task_shape

    models = {which: load_trained(which) for which in arguments.model or shipped()}
    first = next(iter(models.values()))
    for which, trained in models.items():
        if not same_weights(trained.pretrained, first.pretrained):
            raise ConfigError(
                f"stands on another pre-trained backbone than {next(iter(models))!r}",
                where=which,
                fix="Evaluate it alone: the baselines are those of one backbone",
            )
    asked = {name: getattr(arguments, name) for name in ("way", "shot", "query")}
    config = first.config.replace(**{k: v for k, v in asked.items() if v is not None})
    source = create_test_source(config, arguments.source, arguments.data, tuple(arguments.exclude))
    if arguments.tasks < 2:
        raise ConfigError("an interval needs at least two tasks", where="--tasks")
    learners = {which: trained.metalearner for which, trained in models.items()}
    shape, table = task_shape(config, "test", source), {}
    with _bar() as show:
        for item in evaluate(learners, first.pretrained, source, shape, arguments.tasks):
            if isinstance(item, Evaluation):
                table = item.as_dict()
            else:
                show(item)
    _print_table(table, arguments)
    return 0


def _print_table(table: dict[str, Any], arguments: argparse.Namespace) -> None:
    if arguments.format == "json":
        print(json.dumps(table, indent=1))
    else:
        _table(table, arguments.format == "markdown")
    if arguments.json:
        print(json.dumps(table, ensure_ascii=False))


def _evaluate_own(arguments: argparse.Namespace) -> int:
    from metalab.own import evaluate_own
    from metalab.tasks import TaskShape

    if arguments.data is None:
        raise ConfigError("which images?", where="--data", fix="Give a folder or zip with a folder per class")
    shape, table = TaskShape(arguments.way or 5, arguments.shot or 5, arguments.query or 15), {}
    with _bar() as show:
        for item in evaluate_own(arguments.data, shape, arguments.tasks):
            if isinstance(item, dict):
                table = item
            else:
                show(item)
    for note in table.pop("notes"):
        print(note, file=sys.stderr)
    _print_table(table, arguments)
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
    print(f"http://{arguments.host}:{arguments.port}: POST an image to /predict", file=sys.stderr)
    serve(service, arguments.host, arguments.port)
    return 0


def _adapt(arguments: argparse.Namespace) -> int:
    from metalab.adaptation import adapt
    from metalab.choice import adapt_best, ready
    from metalab.data.reading import read_images, require_classes

    learner = None if arguments.model == "auto" else ready(arguments.model)
    held = require_classes(read_images(arguments.support, strict=True))
    if learner is None:
        choice = adapt_best(held.images, held.labels)
        model, why = choice.model, f"{choice.model.metalearner.label}: {choice.reason}"
    else:
        model = adapt(learner, held.images, held.labels)
        why = model.metalearner.label
    model.save(arguments.out)
    for note in held.notes:
        print(note, file=sys.stderr)
    print(f"{arguments.out}: {len(model.classes)} classes from {len(held.labels)} images. {why}")
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    from metalab.adaptation import load
    from metalab.data.reading import read_image
    from metalab.runs import RunStore
    from metalab.shipped import shipped

    name = str(arguments.model)
    if not arguments.model.exists() and name in {*shipped(), *(run.id for run in RunStore().list())}:
        raise ConfigError(
            f"{name!r} is a meta-learner, not yet adapted to your classes",
            where="--model",
            fix=f"First: python -m metalab adapt --model {name} --support DIR --out FILE, then --model FILE",
        )
    model = load(arguments.model)
    images = [read_image(path) for path in arguments.images]
    known = [None] * len(images) if model.confidence.threshold is None else model.knows(images).tolist()
    for path, probabilities, sure in zip(arguments.images, model.predict_proba(images), known, strict=True):
        best = int(probabilities.argmax())
        row = {
            "image": str(path),
            "class": model.classes[best],
            "probability": round(float(probabilities[best]), 4),
            "known": sure,
        }
        print(json.dumps(row, ensure_ascii=False))
    return 0


def _ship(arguments: argparse.Namespace) -> int:
    from metalab.checkpoints import SHIPPED
    from metalab.evaluation import Evaluation
    from metalab.shipped import (
        RECIPES,
        backbone_recipe,
        recipe,
        ship_backbone,
        ship_evaluation,
        ship_metalearner,
    )

    for name in arguments.names or ["conv4", "pyramid", *RECIPES, "evaluation"]:
        path = SHIPPED / f"{name}.safetensors"
        if name == "evaluation":
            work: Iterator[Any] = ship_evaluation(SHIPPED)
        elif name == "lake":
            work = _ship_lake(arguments)
        elif name in RECIPES:
            work = ship_metalearner(recipe(name), path)
        else:
            work = ship_backbone(backbone_recipe(name), path)
        with _bar() as show:
            for item in work:
                if isinstance(item, Evaluation):
                    _table(item.as_dict())
                else:
                    show(item)
    return 0


def _ship_lake(arguments: argparse.Namespace) -> Iterator[Any]:
    from dataclasses import replace

    from metalab.lake.recipe import GENTLE, SHIPPED_LAKE, Recipe, ship_lake

    if arguments.data is None:
        raise ConfigError("which drawings?", where="ship lake", fix="Name Omniglot's zips: --data FOLDER")
    if arguments.steps is not None and arguments.steps < 1:
        raise ConfigError("at least one step is needed", where="--steps")
    given = {name: getattr(arguments, name) for name in ("steps", "seed")}
    recipe = replace(
        Recipe() if arguments.start is None else GENTLE, **{k: v for k, v in given.items() if v is not None}
    )
    out = arguments.out or SHIPPED_LAKE
    return ship_lake(arguments.data, out, recipe, tuple(arguments.exclude), arguments.start)


def _bench(arguments: argparse.Namespace) -> int:
    # Imported only when asked for: the benchmarks need everything, other commands should start at once.
    module = importlib.import_module(f"metalab.bench.{arguments.name.replace('-', '_')}")
    own = argparse.ArgumentParser(
        prog=f"python -m metalab bench {arguments.name}", description=f"Measures {BENCHES[arguments.name]}."
    )
    module.add_arguments(own)
    return module.run(own.parse_args(arguments.rest))
