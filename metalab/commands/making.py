"""Commands for developers: ship makes the checkpoints that come with metalab, bench measures."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metalab.bench import BENCHES
from metalab.commands import AddCommand
from metalab.commands.shown import bar, show_table
from metalab.errors import ConfigError

BASES = (
    *("documents", "languages"),
    *(
        "conv4",
        "pyramid",
        "photo-pyramid",
        "reader",
        "listener",
        "summariser",
        "translator",
        "products",
        "adverts",
    ),
)
"""Vocabularies and backbones that the shipped meta-learners stand on."""


def add_commands(command: AddCommand) -> None:
    """Add the commands of this module."""
    ship = command("ship", _ship, "make the checkpoints that come with metalab")
    ship.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(BASES)}, a meta-learner, evaluation (default: these), or lake",
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


def _ship(arguments: argparse.Namespace) -> int:
    from metalab.checkpoints import SHIPPED
    from metalab.evaluation import Evaluation
    from metalab.shipped import (
        RECIPES,
        VOCABULARIES,
        backbone_recipe,
        recipe,
        ship_backbone,
        ship_evaluation,
        ship_metalearner,
        ship_vocabulary,
    )
    from metalab.voice_training import VOICES, ship_voices

    for name in arguments.names or [*BASES, *RECIPES, *VOICES, "evaluation"]:
        path = SHIPPED / f"{name}.safetensors"
        if name in VOCABULARIES:
            ship_vocabulary(name, SHIPPED / f"{name}.json")
            continue
        if name == "evaluation":
            work: Iterator[Any] = ship_evaluation(SHIPPED)
        elif name in VOICES:
            work = ship_voices(name, path)
        elif name == "lake":
            work = _ship_lake(arguments)
        elif name in RECIPES:
            work = ship_metalearner(recipe(name), path)
        else:
            work = ship_backbone(backbone_recipe(name), path)
        with bar() as show:
            for item in work:
                if isinstance(item, Evaluation):
                    show_table(item.as_dict())
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
