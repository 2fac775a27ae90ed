"""The command line. Flags of ``train`` come from the one configuration; errors are one line, status 2."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from metalab.commands import judging, making, own, saying, training
from metalab.errors import MetalabError


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

    for part in (training, judging, own, saying, making):
        part.add_commands(command)
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
