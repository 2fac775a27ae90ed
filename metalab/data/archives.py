"""Files of a folder or a zip, listed and read within limits; nothing is ever extracted to disk."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, Protocol

from metalab.errors import DataError

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
DEPTH = 12  # folders below each other; deeper is a mistake, such as the root of the disk
PIECE = 1 << 20
DIRECTORY_BYTES = 64_000_000  # of a zip's own list of files; 100,000 files need about 10 MB


@dataclass(frozen=True)
class Limits:
    """What is accepted from outside; ``side`` is the longest side kept in memory, in pixels."""

    files: int = 20_000
    bytes_each: int = 50_000_000
    bytes_all: int = 2_000_000_000
    pixels: int = 50_000_000
    side: int = 512


LIMITS = Limits()


@dataclass(frozen=True)
class Note:
    """What was skipped, repaired, or deserves a look; ``where`` names the file or class."""

    where: str
    what: str
    action: Literal["skipped", "repaired", "warning"]

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.action})"


@dataclass
class Log:
    """Collects notes; ``strict`` turns a file that cannot be used into an error."""

    strict: bool = False
    notes: list[Note] = field(default_factory=list)

    def note(self, where: object, what: str, action: Literal["skipped", "repaired", "warning"]) -> None:
        """Add a note that never is an error."""
        self.notes.append(Note(str(where), what, action))

    def bad(self, error: DataError) -> None:
        """Note the file as skipped, or raise ``error`` when strict."""
        if self.strict:
            raise error
        words = f"{error.what.rstrip('.')}. {error.fix}" if error.fix else error.what
        self.note(error.where or "", words, "skipped")


class Tree(Protocol):
    """Files below one root; names are POSIX paths that never lead outside."""

    where: str
    limits: Limits
    files: list[str]
    folders: list[str]

    def read(self, name: str) -> bytes:
        """Return the content of file ``name``; raises :class:`DataError` when it cannot be had in full."""

    def find(self, name: str) -> str | None:
        """Return the listed name of ``name`` as a table spells it, or None when there is no such file."""


def is_image(name: str) -> bool:
    """Say whether ``name`` ends like an image that can be read."""
    return PurePosixPath(name).suffix.lower() in ENDINGS


def printable(name: str) -> str:
    """Return ``name`` without what cannot be shown or stored: bytes that are no text, control characters."""
    name = name.encode("utf-8", "backslashreplace").decode()
    return "".join(" " if ord(letter) < 32 or ord(letter) == 127 else letter for letter in name)


class FolderTree:
    """The visible files of a folder. Links that stay inside count as files; others are refused."""

    def __init__(self, path: Path, limits: Limits, log: Log, listed: bool = True) -> None:
        """List ``path``, unless not ``listed``; raises :class:`DataError` beyond the limits."""
        self.path, self.where, self.limits = path, str(path), limits
        self.files: list[str] = []
        self.folders: list[str] = []
        self.root = os.path.realpath(path)
        if listed:
            self._list("", log, 0)

    def _list(self, below: str, log: Log, depth: int) -> None:
        try:
            with os.scandir(self.path / below) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            log.bad(_unreadable(self.path / below, error))
            return
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if entry.is_symlink() and not self._inside(name):
                error = DataError("a link that leads out of the folder", where=self.path / name)
                log.bad(error)
            elif entry.is_symlink() and entry.is_dir():
                log.note(self.path / name, "a link to a folder is not followed", "skipped")
            elif entry.is_dir():
                self.folders.append(name)
                if depth >= DEPTH:
                    raise DataError(f"more than {DEPTH} folders deep", where=self.path / name, fix=FLATTEN)
                self._list(name, log, depth + 1)
            elif entry.is_file():  # neither pipe nor device, which could block for ever
                self.files.append(name)
                check_count(self.files, self.limits, self.where)

    def _inside(self, name: str) -> bool:
        try:
            real = os.path.realpath(self.path / name)
            return os.path.commonpath([real, self.root]) == self.root
        except (OSError, ValueError):
            return False

    def find(self, name: str) -> str | None:
        """See :class:`Tree`; needs no listing."""
        try:
            there = stat.S_ISREG(os.stat(self.path / name).st_mode)
        except (OSError, ValueError):  # ValueError: a NUL in the name
            return None
        if there and not self._inside(name):
            raise DataError("a link that leads out of the folder", where=self.path / name)
        return name if there else None

    def read(self, name: str) -> bytes:
        """See :class:`Tree`."""
        path = self.path / name
        try:
            with open(path, "rb") as file:
                return read_bounded(file.read, str(path), self.limits.bytes_each)
        except OSError as error:
            raise _unreadable(path, error) from None


class ZipTree:
    """The visible files of a zip. Of names that lead outside, only the harmless part is used."""

    def __init__(self, file: Path | BinaryIO, where: str, limits: Limits, log: Log) -> None:
        """List the zip; raises :class:`DataError` when it is none, or beyond the limits."""
        self.where, self.limits = where, limits
        self.entries: dict[str, zipfile.ZipInfo] = {}
        try:
            self._check_directory(file)
            self.archive = zipfile.ZipFile(file)
        except DataError:
            raise
        except Exception as error:  # a damaged directory raises struct.error, ValueError, OverflowError, ...
            raise DataError(f"cannot be read ({error})", where=where, fix=ORDINARY) from None
        folders: set[str] = set()
        for info in self.archive.infolist():
            name = self._name(info)
            parts = PurePosixPath(name).parts
            if any(part.startswith(".") or part == "__MACOSX" for part in parts if part not in ("..", ".")):
                continue
            safe = "/".join(part for part in parts if part not in ("..", ".", "/") and part[1:] != ":")
            if not safe:
                continue
            if info.is_dir() or name.endswith("/"):
                folders.add(safe)
                continue
            if safe != "/".join(parts):
                what = f"the path leads outside; only the names in it are used: {safe}"
                log.note(self._at(name), what, "repaired")
            if safe in self.entries:
                log.note(self._at(safe), "a name that appears twice; the last is used", "skipped")
            self.entries[safe] = info
            folders.update(str(parent) for parent in PurePosixPath(safe).parents if str(parent) != ".")
            check_count(self.entries, limits, where)
        self.files = sorted(self.entries)
        self.folders = sorted(folders)

    def _check_directory(self, file: Path | BinaryIO) -> None:
        """Refuse a list of files that would itself fill the memory, before it is read."""
        if isinstance(file, Path):
            with open(file, "rb") as opened:
                tail = _tail(opened)
        else:
            tail = _tail(file)
        at = tail.rfind(b"PK\5\6")
        if at < 0 or len(tail) < at + 22:
            raise DataError("not a zip, or its end is missing", where=self.where, fix=ORDINARY)
        count, size = struct.unpack_from("<HI", tail, at + 10)
        wide = tail.rfind(b"PK\6\6", 0, at)  # zip64: the record with 8-byte numbers
        if wide >= 0 and at - wide >= 56 and (count == 0xFFFF or size == 0xFFFFFFFF):
            count, size = struct.unpack_from("<QQ", tail, wide + 32)
        if size > DIRECTORY_BYTES:
            raise DataError(f"lists {count} files, too many to read", where=self.where, fix="Use fewer")

    def _name(self, info: zipfile.ZipInfo) -> str:
        """Return the entry's name: macOS and others write UTF-8 without saying so."""
        name = info.filename
        if not info.flag_bits & 0x800:
            try:
                name = name.encode("cp437").decode("utf-8")
            except UnicodeError:
                name = info.filename
        return name.replace("\\", "/")

    def _at(self, name: str) -> str:
        return f"{self.where}: {name}"

    def find(self, name: str) -> str | None:
        """See :class:`Tree`."""
        return name if name in self.entries else None

    def read(self, name: str) -> bytes:
        """See :class:`Tree`. Neither the stated size nor the content is trusted: pieces, up to the limit."""
        where, most = self._at(name), self.limits.bytes_each
        with self.open(name, most) as read:
            return read_bounded(read, where, most)

    @contextmanager
    def open(self, name: str, most: int) -> Iterator[Callable[[int], bytes]]:
        """Give what reads on in file ``name``, of ``most`` bytes; raises :class:`DataError`, also inside."""
        info, where = self.entries[name], self._at(name)
        if info.flag_bits & 1:
            raise DataError("encrypted with a password", where=where, fix="Zip it without one")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError("a link, not a file", where=where, fix="Zip the file that it points to")
        # Python bounds the memory of no other method while unpacking.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"packed by method {info.compress_type}", where=where, fix=ORDINARY)
        if info.file_size > most:
            raise too_large(where, info.file_size, most)
        try:
            with self.archive.open(info) as file:
                yield file.read
        except DataError:
            raise
        except Exception as error:  # zlib.error, BadZipFile, EOFError, struct.error, ...
            words = f"damaged within the zip ({type(error).__name__})"
            raise DataError(words, where=where, fix="Zip it again") from None


FLATTEN = "Give the folder that holds the class folders"
ORDINARY = "Give a folder or an ordinary zip"


def check_count(files: list[str] | dict[str, zipfile.ZipInfo], limits: Limits, where: str) -> None:
    """Refuse, while listing, ten times more files than images are allowed: notes may lie beside each."""
    if len(files) > 10 * limits.files:
        raise DataError(f"more than {10 * limits.files} files", where=where, fix="Use fewer")


def read_bounded(read: Callable[[int], bytes], where: str, most: int) -> bytes:
    """Return all that ``read`` gives, in pieces; raises :class:`DataError` beyond ``most`` bytes."""
    held = io.BytesIO()
    while piece := read(PIECE):
        held.write(piece)
        if held.tell() > most:
            raise too_large(where, None, most)
    return held.getvalue()


def read_one(path: Path, most: int) -> bytes:
    """Return the content of one file; raises :class:`DataError`, also beyond ``most`` bytes."""
    if not path.is_file():
        raise DataError("there is no such file", where=path, fix="Check the path")
    try:
        with open(path, "rb") as file:
            return read_bounded(file.read, str(path), most)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path, fix="Check it") from None


def too_large(where: str, size: int | None, most: int) -> DataError:
    """Return the error for a file of ``size`` bytes, None when reading stopped before its end."""
    said = "too large" if size is None else f"{size / 1e6:.0f} MB"
    return DataError(f"{said}, at most {most / 1e6:.0f} MB", where=where, fix="Shrink it")


def _tail(file: BinaryIO) -> bytes:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 66_000))
    tail = file.read(66_000)
    file.seek(0)
    return tail


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot be read ({error.strerror or error})", where=path, fix="Check its permissions")
