"""Errors that a user can act on: each message says what is wrong, where, and what to do.

The CLI prints them on one line (a list of faults on one line each) and exits with status 2; a page shows
them in place.
"""

from __future__ import annotations

from collections.abc import Sequence

LISTED = 40
"""Faults that a message names, at most."""


class MetalabError(Exception):
    """Base of every error that metalab raises on purpose.

    ``what`` is the problem, ``where`` the file, field or argument, ``fix`` what to do about it.
    """

    def __init__(self, what: str, *, where: object = None, fix: str = "") -> None:
        self.what, self.where, self.fix = what, None if where is None else str(where), fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        parts = [self.what if self.where is None else f"{self.where}: {self.what}", self.fix]
        return " ".join(part.rstrip(".") + "." for part in parts if part)


class ConfigError(MetalabError, ValueError):
    """A setting is unknown, out of range, or contradicts another."""


class DataError(MetalabError, ValueError):
    """Data cannot be read, or cannot form the tasks that were asked for."""


class FaultyDataError(DataError):
    """Parts of the data cannot be used: ``faults`` names each, and what would be done about it.

    Whoever brought the data may agree to go on without them.
    """

    def __init__(self, faults: Sequence[object], *, where: object = None, fix: str = "") -> None:
        count = "1 place" if len(faults) == 1 else f"{len(faults)} places"
        super().__init__(f"cannot be used as it is, in {count}", where=where, fix=fix)
        self.faults = list(faults)

    def __str__(self) -> str:
        lines = [f"- {fault}" for fault in self.faults[:LISTED]]
        if len(self.faults) > LISTED:
            lines.append(f"- and {len(self.faults) - LISTED} more")
        return "\n".join([f"{self.where}: {self.what}:", *lines, "", f"{self.fix}."])


class CheckpointError(MetalabError, ValueError):
    """A file is not a metalab checkpoint, is damaged, or comes from another version."""


class StorageError(MetalabError, OSError):
    """Something could not be written or read: full disk, missing permission, vanished folder."""


class RunError(MetalabError, LookupError):
    """A run does not exist, is damaged, or is not in a state that allows what was asked."""


class JobError(MetalabError, RuntimeError):
    """A training process could not be started, or ended in a way that it did not report itself."""
