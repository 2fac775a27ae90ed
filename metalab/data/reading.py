"""Own images from wherever they lie: class folders, a zip, a table, NumPy arrays, a page's drop area.

Nothing from outside is trusted: :class:`Limits` bounds what is read, and nothing is extracted to disk.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from metalab.data.archives import (
    LIMITS,
    FolderTree,
    Limits,
    Log,
    Note,
    Tree,
    ZipTree,
    is_image,
    printable,
    read_one,
)
from metalab.data.arrays import array_images, is_arrays
from metalab.data.decoding import decode, decode_noted
from metalab.data.duplicates import find_duplicates, leakage
from metalab.data.layouts import image_files
from metalab.data.tables import is_table, read_table, resolve
from metalab.errors import DataError

__all__ = [
    "ImageSet",
    "Limits",
    "Note",
    "decode",
    "each_image",
    "find_duplicates",
    "leakage",
    "read_image",
    "read_images",
    "require_classes",
    "single_images",
    "stamp",
]

LABEL_LENGTH = 100
CLASS_FOLDERS = "Put each class's images into a sub-folder of its own"


@dataclass(frozen=True)
class ImageSet:
    """Images (H, W, 3) uint8 of any size, with the label and the file of each, and what there is to know."""

    images: list[np.ndarray]
    labels: list[str]
    names: list[str]
    notes: list[Note] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        """The class names, sorted."""
        return sorted(set(self.labels))

    def counts(self) -> dict[str, int]:
        """Return {class name: number of images}, in the order of ``classes``."""
        counts = dict.fromkeys(self.classes, 0)
        for label in self.labels:
            counts[label] += 1
        return counts

    def joined(self, other: ImageSet) -> ImageSet:
        """Return these images and those of ``other``, in this order."""
        pairs = ((self.images, other.images), (self.labels, other.labels), (self.names, other.names))
        return ImageSet(*([*own, *more] for own, more in pairs), [*self.notes, *other.notes])


def read_images(path: Path | str | BinaryIO, *, limits: Limits = LIMITS, strict: bool = False) -> ImageSet:
    """Return the images of a folder, a zip (also an open one), a CSV of paths and labels, or a .npz.

    Classes are folders, or the labels of a table beside the images; for arrays see
    :func:`metalab.data.arrays.array_images`. A file that cannot be used is skipped
    with a note; with ``strict`` it raises. Raises :class:`DataError` when nothing is left, or beyond
    ``limits``: ``bytes_all`` bounds the bytes read, and also those of the images kept.
    """
    log = Log(strict)
    read = list(_kept(each_image(path, limits, log), limits, where_of(path)))
    if not read:
        first = f" ({log.notes[0].where}: {log.notes[0].what})" if log.notes else ""
        raise DataError(f"holds no image that can be used{first}", where=where_of(path), fix=CLASS_FOLDERS)
    labels, names, images = ([item[i] for item in read] for i in range(3))
    return ImageSet(images, labels, names, log.notes)


def each_image(
    path: Path | str | BinaryIO, limits: Limits, log: Log
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (label, file name, image (H, W, 3) uint8) one by one, so that memory holds one at a time.

    Notes go to ``log``, those about classes at the end. Raises :class:`DataError`, as :func:`read_images`.
    """
    if _is_arrays(path):
        yield from _each_array(path, limits, log)
        return
    tree, found = _open(path, limits, log)
    if len(found) > limits.files:
        raise DataError(f"{len(found)} images, at most {limits.files}", where=tree.where, fix="Use fewer")
    names, total, counts = Names(log), 0, {}
    for label, name in found:
        label, at = names.clean(label, name), f"{tree.where}: {printable(name)}"
        counts.setdefault(label, 0)
        try:
            content = tree.read(name)
            total += len(content)
            if total > limits.bytes_all:
                raise _too_much(tree.where, limits)
            image, notes = decode_noted(content, at, limits)
        except DataError as error:
            if total > limits.bytes_all:
                raise
            log.bad(error)
            continue
        for words in notes:
            log.note(at, words, "warning")
        counts[label] += 1
        yield label, printable(name), image
    for label, count in counts.items():
        if not count:
            log.note(label, "no image of this class can be used", "warning")
    note_alike([label for label, count in counts.items() if count], log)


def _each_array(
    path: Path | str | BinaryIO, limits: Limits, log: Log
) -> Iterator[tuple[str, str, np.ndarray]]:
    names, where, classes = Names(log), where_of(path), {}
    file = Path(path) if isinstance(path, str) else path
    for raw, name, image in array_images(file, where, limits, log):
        label = classes[raw] = names.clean(raw, f"{where}: {name}")
        yield label, name, image
    note_alike(list(dict.fromkeys(classes.values())), log)


def stamp(path: Path | str) -> str:
    """Return a text that changes when what :func:`read_images` reads at ``path`` does: times and sizes.

    Nothing is decoded, so it is quick. Raises :class:`DataError`.
    """
    digest = hashlib.sha256(str(Path(path).absolute()).encode("utf-8", "backslashreplace"))
    files = [Path(path)]
    if not _is_arrays(path):
        tree, found = _open(path, LIMITS, Log())
        if isinstance(tree, FolderTree):
            listed = {*tree.files, *(name for _, name in found)}
            files += [tree.path / name for name in sorted(listed)]
            digest.update(repr(found).encode())
    for file in files:
        try:
            held = file.stat()
        except OSError:  # deleted just now: reading will say so
            continue
        digest.update(f"{held.st_mtime_ns} {held.st_size} {held.st_ino}\n".encode())
    return digest.hexdigest()[:16]


def single_images(files: Mapping[str, Sequence[tuple[str, bytes]]]) -> ImageSet:
    """Return {class name: (file name, content) of each} as one set; what cannot be used is noted.

    Raises :class:`DataError` beyond the usual :class:`Limits`.
    """
    log = Log()
    given = [(label, name, content) for label, held in files.items() for name, content in held]
    if len(given) > LIMITS.files:
        raise DataError(f"{len(given)} images, at most {LIMITS.files}", where="upload", fix="Use fewer")
    clean = Names(log)

    def items() -> Iterator[tuple[str, str, np.ndarray]]:
        for raw, name, content in given:
            label, name = clean.clean(raw, name), printable(name)
            try:
                image, notes = decode_noted(content, name, LIMITS)
            except DataError as error:
                log.bad(error)
                continue
            for words in notes:
                log.note(name, words, "warning")
            yield label, name, image

    read = list(_kept(items(), LIMITS, "upload"))
    labels, names, images = ([item[i] for item in read] for i in range(3))
    for raw in files:
        if clean.clean(raw, raw) not in labels:
            log.note(printable(raw), "no image of this class can be used", "warning")
    note_alike(list(dict.fromkeys(labels)), log)
    return ImageSet(images, labels, names, log.notes)


def read_image(path: Path | str) -> np.ndarray:
    """Return one image file (H, W, 3) uint8; raises :class:`DataError`."""
    return decode(read_one(Path(path), LIMITS.bytes_each), str(path))


def require_classes(imageset: ImageSet, least: int = 2) -> ImageSet:
    """Return ``imageset``; raises :class:`DataError` for fewer than ``least`` classes."""
    classes = imageset.classes
    if len(classes) < least:
        names = f" ({', '.join(classes)})" if classes else ""
        number = "two" if least == 2 else least
        raise DataError(
            f"{number} classes with images or more are needed, found: {len(classes)}{names}",
            where="own images",
            fix=CLASS_FOLDERS,
        )
    return imageset


def _is_arrays(path: Path | str | BinaryIO) -> bool:
    return is_arrays(where_of(path)) and (not isinstance(path, Path | str) or os.path.isfile(path))


def where_of(path: Path | str | BinaryIO) -> str:
    """Return what errors call ``path``."""
    return str(path) if isinstance(path, Path | str) else str(getattr(path, "name", "upload"))


def _too_much(where: str, limits: Limits) -> DataError:
    words = f"more than {limits.bytes_all / 1e6:.0f} MB in all"
    return DataError(words, where=where, fix="Use fewer or smaller images")


def _kept(
    items: Iterator[tuple[str, str, np.ndarray]], limits: Limits, where: str
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Pass ``items`` on, which the caller keeps; raises :class:`DataError` when they need too much memory."""
    total = 0
    for item in items:
        total += item[2].nbytes
        if total > limits.bytes_all:
            raise _too_much(where, limits)
        yield item


def _open(path: Path | str | BinaryIO, limits: Limits, log: Log) -> tuple[Tree, list[tuple[str, str]]]:
    """Return the files, and (label, file name) of each image; raises :class:`DataError`."""
    where = where_of(path)
    tree: Tree
    if isinstance(path, Path | str):
        path = Path(path)
        try:
            if path.is_dir():
                tree = FolderTree(path, limits, log)
                return tree, image_files(tree, log)
            if not path.is_file():
                raise DataError("there is no such file or folder", where=path, fix="Check the path")
            if is_table(path.name):
                tree = FolderTree(path.parent, limits, log, listed=False)
                found, errors = resolve(read_table(tree.read(path.name), where, log), tree, "", where)
                if not found and errors:
                    raise DataError(f"no row names an image ({errors[0].what})", where=where)
                for error in errors:
                    log.bad(error)
                return tree, found
        except (OSError, ValueError) as error:  # no permission, a name too long, a NUL in it
            if isinstance(error, DataError):
                raise
            raise DataError(f"cannot be read ({error})", where=where, fix="Check the path") from None
        if is_image(path.name):
            raise DataError("one image, not a set of classes", where=where, fix=CLASS_FOLDERS)
    tree = ZipTree(path, where, limits, log)
    return tree, image_files(tree, log)


class Names:
    """Turns labels from outside into class names that can be shown, and stay apart."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.known: dict[str, str] = {}

    def clean(self, raw: str, where: str) -> str:
        """Return the class name of ``raw``; a change is noted once."""
        if raw in self.known:
            return self.known[raw]
        name = printable(raw).strip() or "(no name)"
        if name != raw:
            self.log.note(printable(where), f"the class {printable(raw)!r} is read as {name!r}", "repaired")
        if len(name) > LABEL_LENGTH:
            # The digest keeps names apart that begin alike, whatever the order in which they come.
            mark = hashlib.sha256(name.encode()).hexdigest()[:8]
            name = f"{name[: LABEL_LENGTH - 10].rstrip()}… {mark}"
            self.log.note(printable(where), f"a very long class name is shortened to {name!r}", "repaired")
        self.known[raw] = name
        return name


def note_alike(labels: list[str], log: Log) -> None:
    """Note the ``labels`` that look the same and are not."""
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(unicodedata.normalize("NFKC", label).casefold(), []).append(label)
    for names in alike.values():
        if len(names) > 1:
            said = " and ".join(repr(name) for name in names)
            log.note(names[0], f"{said} differ only in case or form, and are separate classes", "warning")
