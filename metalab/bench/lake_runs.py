"""Writes one-shot runs like Lake's official ones, from any Omniglot drawings, for ``bench lake``."""

from __future__ import annotations

import argparse
from pathlib import Path

from metalab.data.lake_runs import build_runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("data", type=Path, metavar="OMNIGLOT", help="zip, or folder of zips or alphabets")
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="a new folder")
    parser.add_argument("--exclude", action="append", default=[], help="an alphabet to leave out")
    parser.add_argument("--runs", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the random choices (default: 1)")


def run(arguments: argparse.Namespace) -> int:
    """Write the runs, saying what was written."""
    given = arguments.data, arguments.out, tuple(arguments.exclude), arguments.runs, arguments.seed
    for line in build_runs(*given):
        print(line, flush=True)
    return 0
