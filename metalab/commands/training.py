"""Commands about training: pretrain, train, resume, runs, report."""

from __future__ import annotations

import argparse
import sys
import time
import types
import typing
from pathlib import Path
from typing import Any

from metalab.commands import AddCommand
from metalab.commands.shown import bar, show_table, tell
from metalab.errors import ConfigError

RUNS_USAGE = "runs [RUN [--stop | --delete | --log]]"


def add_commands(command: AddCommand) -> None:
    """Add the commands of this module."""
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


def _add_config(command: argparse.ArgumentParser, only: tuple[str, ...] = ()) -> None:
    from metalab.config import Config

    groups: dict[str, Any] = {}
    for name, field in Config.model_fields.items():
        group = field.json_schema_extra["group"]  # type: ignore[index,call-overload]
        if name == "options" or (only and group not in only and name not in ("seed", "device")):
            continue
        groups.setdefault(group, command.add_argument_group(group))
        if field.annotation is bool and not field.default:
            flag = f"--{name.replace('_', '-')}"
            groups[group].add_argument(
                flag, dest=name, action="store_true", default=argparse.SUPPRESS, help=field.description
            )
            continue
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

    with bar() as show:
        backbone = create_pretrain_model(_config(arguments).replace(pretrained="none"), on_progress=show)
    save_backbone(arguments.out, backbone)
    print(f"{arguments.out}: use it with train --pretrained {arguments.out}")
    return 0


def _train(arguments: argparse.Namespace) -> int:
    from metalab.data import create_source
    from metalab.runs import RunStore
    from metalab.training import preflight

    config = _config(arguments)
    source = create_source(config)
    tell(getattr(source, "notes", ()))
    preflight(config, source)
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
        show_table(run.read_json("evaluation"))
        return 0
    print(f"metalab: the run {status.state}: {status.error or run.resume_hint()}", file=sys.stderr)
    return 1


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
        show_table(run.read_json("evaluation"))
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from metalab.report import report_html
    from metalab.runs import RunStore
    from metalab.storage import atomic_write

    atomic_write(arguments.out, report_html(RunStore().get(arguments.run)).encode())
    print(f"{arguments.out}: open it in any browser")
    return 0
