"""The commands of the command line by subject; each module adds its own to the parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable

AddCommand = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
"""Adds the command of a name, what carries it out, and its help; returns its parser."""
