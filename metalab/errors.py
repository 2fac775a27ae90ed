"""Errors that a user can act on: each message says what is wrong, where, and what to do.

The CLI prints them on one line and exits with status 2; a page shows them in place.
"""

from __future__ import annotations


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


class CheckpointError(MetalabError, ValueError):
    """A file is not a metalab checkpoint, is damaged, or comes from another version."""


class StorageError(MetalabError, OSError):
    """Something could not be written or read: full disk, missing permission, vanished folder."""


class RunError(MetalabError, LookupError):
    """A run does not exist, is damaged, or is not in a state that allows what was asked."""


class JobError(MetalabError, RuntimeError):
    """A training process could not be started, or ended in a way that it did not report itself."""
