"""Where metalab keeps its files, and how it writes them: whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from metalab.errors import StorageError

_REASONS = {
    errno.ENOSPC: ("the disk is full", "Free some space, then resume"),
    errno.EDQUOT: ("the disk quota is used up", "Free some space, then resume"),
    errno.EFBIG: ("the file would pass the size limit", "Raise the limit (ulimit -f), then resume"),
    errno.EACCES: ("no permission to write", "Choose another folder, or set METALAB_HOME"),
    errno.EPERM: ("no permission to write", "Choose another folder, or set METALAB_HOME"),
    errno.EROFS: ("the file system is read-only", "Choose another folder, or set METALAB_HOME"),
    errno.ENOENT: ("the folder does not exist", "Create it, or choose another"),
    errno.EEXIST: ("a part of the path is a file", "Choose another path"),
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
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # Not tempfile: its files are private, and a run may be read by colleagues.
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise storage_error(error, path) from None
        raise


def try_lock(path: Path) -> int | None:
    """Lock the file ``path`` without waiting; return its handle, or None when somebody else holds it.

    Closing the handle, or the end of the last process that has it, releases the lock. Raises
    :class:`StorageError`.
    """
    try:
        import fcntl
    except ImportError:
        raise StorageError("this system has no flock", where=path, fix="Use Linux, macOS or WSL") from None
    handle = None
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return handle
    except OSError as error:
        if handle is not None:
            os.close(handle)
        if isinstance(error, BlockingIOError):
            return None
        raise storage_error(error, path) from None


def to_json(value: Any, indent: int | None = None) -> bytes:
    """Return ``value`` as JSON. Arrays and tensors become lists; NaN and infinity, which JSON lacks, null."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    raise TypeError(f"A {type(value).__name__} cannot be written as JSON")
