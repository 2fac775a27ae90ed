"""The command line. Flags of ``train`` come from the one configuration; errors are one line, status 2."""

from __future__ import annotations

import argparse
import json
import sys
import time
import types
import typing
from pathlib import Path
from typing import Any

from metalab.errors import MetalabError


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="python -m metalab",
        description="Few-shot learning that people can use and see. First train, then adapt, then predict.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="pre-train, meta-train and evaluate; everything lands in a run")
    train.add_argument("--name", help="a readable name for the run")
    train.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the meta-learner"
    )
    _add_config(train)
    train.set_defaults(do=_train)

    resume = commands.add_parser("resume", help="continue a stopped or failed run from its last checkpoint")
    resume.add_argument("run", help="the run's id (see: runs)")
    resume.set_defaults(do=_resume)

    runs = commands.add_parser("runs", help="list the runs, or show one")
    runs.add_argument("run", nargs="?", help="a run's id")
    runs.set_defaults(do=_runs)

    adapt = commands.add_parser("adapt", help="adapt a trained run to a folder of examples")
    adapt.add_argument("--run", required=True, help="id of a finished run")
    adapt.add_argument(
        "--support",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder or zip with one sub-folder per class",
    )
    adapt.add_argument("--out", required=True, type=Path, metavar="FILE", help="where the adapted model goes")
    adapt.set_defaults(do=_adapt)

    predict = commands.add_parser("predict", help="classify images with an adapted model")
    predict.add_argument("--model", required=True, type=Path, metavar="FILE", help="written by adapt")
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    predict.set_defaults(do=_predict)
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


def _add_config(command: argparse.ArgumentParser) -> None:
    from metalab.config import Config

    groups: dict[str, Any] = {}
    for name, field in Config.model_fields.items():
        if name == "options":
            continue
        group = field.json_schema_extra["group"]  # type: ignore[index,call-overload]
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
    from metalab.errors import ConfigError

    given = {k: v for k, v in vars(arguments).items() if k in Config.model_fields}
    if "channels" in given:
        given["channels"] = int(given["channels"])
    options = {}
    for item in arguments.option:
        name, separator, value = item.partition("=")
        if not separator:
            raise ConfigError(f"{item!r} is not NAME=VALUE", where="--option")
        options[name] = value
    return Config.create(**given, options=options)


def _train(arguments: argparse.Namespace) -> int:
    from metalab.runs import RunStore

    return _follow(RunStore().create(_config(arguments), arguments.name))


def _resume(arguments: argparse.Namespace) -> int:
    from metalab.runs import RunStore

    return _follow(RunStore().get(arguments.run))


def _follow(run: Any) -> int:
    """Submit ``run``, draw its progress until it ends; Ctrl-C stops it with a checkpoint."""
    from tqdm import tqdm

    from metalab.jobs import LocalBackend

    backend = LocalBackend()
    status = backend.submit(run)
    print(f"run {run.id}", file=sys.stderr)
    try:
        with tqdm(total=None, unit="step", leave=False) as bar:
            while not status.ended:
                time.sleep(0.3)
                status = backend.status(run)
                if status.steps and bar.total != status.steps:
                    bar.reset(total=status.steps)
                bar.set_description(status.stage or status.state)
                bar.update(status.step - bar.n)
    except KeyboardInterrupt:
        backend.cancel(run)
        print(f"\nstopping; continue with: python -m metalab resume {run.id}", file=sys.stderr)
        return 130
    if status.state == "done":
        _table(run.read_json("evaluation"))
        return 0
    print(f"metalab: the run {status.state}: {status.error or run.resume_hint()}", file=sys.stderr)
    return 1


def _table(evaluation: dict[str, Any]) -> None:
    for row in sorted(evaluation["rows"], key=lambda row: -row["accuracy"]):
        mark = " (transductive)" if row["transductive"] else ""
        print(
            f"{row['label'] + mark:<40} {row['accuracy']:7.1%} ± {row['interval']:.1%}   {row['tasks']} tasks"
        )
    print(evaluation["verdict"])


def _runs(arguments: argparse.Namespace) -> int:
    from metalab.jobs import LocalBackend
    from metalab.runs import RunStore

    store = RunStore()
    backend = LocalBackend(store)
    if arguments.run is None:
        for run in store.list():
            status = backend.status(run)
            print(f"{run.id}  {status.state:<8} {status.stage:<14} {status.step}/{status.steps}  {run.name}")
        return 0
    run = store.get(arguments.run)
    status = backend.status(run)
    print(f"{run.name}: {status.state} {status.error or ''}")
    print(run.config.to_json())
    if run.has("evaluation.json"):
        _table(run.read_json("evaluation"))
    return 0


def _adapt(arguments: argparse.Namespace) -> int:
    import numpy as np

    from metalab.adaptation import adapt, load_metalearner
    from metalab.data.folder import read_classes
    from metalab.runs import RunStore

    learner = load_metalearner(RunStore().get(arguments.run).checkpoint("best"))
    classes = read_classes(arguments.support, learner.backbone.size, learner.backbone.channels)
    labels = [name for name, images in classes.items() for _ in images]
    model = adapt(learner, np.concatenate(list(classes.values())), labels)
    model.save(arguments.out)
    print(f"{arguments.out}: {len(classes)} classes from {len(labels)} images")
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    import numpy as np

    from metalab.adaptation import load
    from metalab.data.folder import read_file

    model = load(arguments.model)
    backbone = model.metalearner.backbone
    images = np.stack([read_file(path, backbone.size, backbone.channels) for path in arguments.images])
    for path, probabilities in zip(arguments.images, model.predict_proba(images), strict=True):
        best = int(probabilities.argmax())
        row = {
            "image": str(path),
            "class": model.classes[best],
            "probability": round(float(probabilities[best]), 4),
        }
        print(json.dumps(row, ensure_ascii=False))
    return 0
