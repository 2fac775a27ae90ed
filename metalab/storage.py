"""Where metalab keeps its files, and how it writes them: whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from metalab.errors import StorageError

_REASONS = {
    errno.ENOSPC: ("the disk is full", "Free some space, then resume"),
    errno.EDQUOT: ("the disk quota is used up", "Free some space, then resume"),
    errno.EFBIG: ("the file would pass the size limit", "Raise the limit (ulimit -f), then resume"),
    errno.EACCES: ("no permission to write", "Choose another folder, or set METALAB_HOME"),
    errno.EPERM: ("no permission to write", "Choose another folder, or set METALAB_HOME"),
    errno.EROFS: ("the file system is read-only", "Choose another folder, or set METALAB_HOME"),
    errno.ENOENT: ("the folder does not exist", "Create it, or choose another"),
    errno.ENOTDIR: ("a part of the path is a file", "Choose another path"),
}


def home() -> Path:
    """Return the folder of runs and caches: ``$METALAB_HOME``, by default ``~/.metalab``."""
    return Path(os.environ.get("METALAB_HOME") or Path.home() / ".metalab").expanduser()


def storage_error(error: OSError, path: Path) -> StorageError:
    """Translate ``error`` at ``path`` into words."""
    what, fix = _REASONS.get(error.errno or 0, (error.strerror or str(error), "Check the path and the disk"))
    return StorageError(what, where=path, fix=fix)


def make_folder(path: Path) -> Path:
    """Create ``path`` with its parents and return it. Raises :class:`StorageError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, path) from None
    return path


def atomic_write(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, creating its folder: readers see the old file or the new, never a part.

    Raises :class:`StorageError` (full disk, no permission, ...) and leaves no temporary file behind.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise storage_error(error, path) from None
