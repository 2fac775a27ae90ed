"""Annotated pictures for detection and segmentation: COCO, Pascal VOC, or pictures with PNG masks.

Nothing from outside is trusted: :class:`Limits` bounds what is read, and nothing is extracted to disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from metalab.data.annotation import Faults, Instance, Listed, Picture, Target, build, without_bare
from metalab.data.archives import LIMITS, FolderTree, Limits, Log, Note, Tree, ZipTree
from metalab.data.coco import coco_files, read_coco
from metalab.data.finding import Files
from metalab.data.mask_folders import class_numbers, mask_files, read_masks, white_is_object
from metalab.data.reading import Names, note_alike, where_of
from metalab.data.voc import CLASSES, read_voc, voc_files
from metalab.errors import DataError, FaultyDataError

__all__ = ["AnnotatedSet", "Instance", "Picture", "read_annotated"]

AGREE = (
    "Correct them, or agree to what is said in brackets: --leave-out, on pages the switch 'Leave out what is "
    "faulty', in Python leave_out=True"
)
LAYOUTS = "Give COCO (a JSON and images/), VOC (Annotations/ and JPEGImages/) or images/ and masks/"


@dataclass(frozen=True)
class AnnotatedSet:
    """Annotated pictures of any size, and what there is to know about how they were read."""

    pictures: list[Picture]
    notes: list[Note] = field(default_factory=list)

    @property
    def faults(self) -> list[Note]:
        """What was left out or repaired: whoever brought the data should agree to it."""
        return [note for note in self.notes if note.action != "warning"]

    @property
    def classes(self) -> list[str]:
        """The class names, sorted."""
        return sorted({instance.label for picture in self.pictures for instance in picture.instances})

    def counts(self) -> dict[str, int]:
        """Return {class name: number of pictures that show it}, in the order of ``classes``."""
        counts = dict.fromkeys(self.classes, 0)
        for picture in self.pictures:
            for label in {instance.label for instance in picture.instances}:
                counts[label] += 1
        return counts


def read_annotated(
    path: Path | str | BinaryIO,
    *,
    target: Target = "boxes",
    limits: Limits = LIMITS,
    leave_out: bool = False,
) -> AnnotatedSet:
    """Return the annotated pictures of a folder or a zip (also an open one); its layout is recognised.

    ``target`` says what is to be learnt: for "masks", objects of which only a box is known are ignored.
    With ``leave_out``, what cannot be used is repaired or left out, with a note that names file and field;
    otherwise :class:`FaultyDataError` names all such places. Pictures that no annotation file mentions are
    among them; those that are said to show no object are kept. Images keep no side above ``limits.side``
    pixels: boxes and masks are reduced and turned with them. Always raises :class:`DataError` for an unknown
    layout, a broken JSON, when no picture is left, or beyond ``limits``: ``bytes_each`` bounds also a JSON,
    and ``bytes_all`` the bytes read, as well as those of the images and masks kept.
    """
    log = Log()
    tree = _open(path, limits, log)
    faults = Faults(log, target)
    pictures = _pictures(tree, Names(log), faults)
    if target == "masks":
        pictures = _masked(pictures, tree.where, faults)
    for picture in pictures:
        if not picture.instances:
            faults.warn(f"{tree.where}: {picture.name}", "a picture without an object")
    faults.close(tree.where)
    if not pictures:
        first = f" ({log.notes[0].where}: {log.notes[0].what})" if log.notes else ""
        raise DataError(f"holds no picture that can be used{first}", where=tree.where, fix=LAYOUTS)
    found = AnnotatedSet(pictures, log.notes)
    note_alike(found.classes, log)
    if found.faults and not leave_out:
        raise FaultyDataError(found.faults, where=tree.where, fix=AGREE)
    return found


def _masked(pictures: list[Picture], where: str, faults: Faults) -> list[Picture]:
    """Return ``pictures`` without objects that have no mask; raises :class:`DataError` when none has one."""
    objects = [one for picture in pictures for one in picture.instances]
    if objects and all(one.mask is None for one in objects):
        raise DataError(
            "every object has a box but no mask",
            where=where,
            fix="Segmentation needs masks; use detection for boxes",
        )
    return [without_bare(picture, f"{where}: {picture.name}", faults) for picture in pictures]


def _open(path: Path | str | BinaryIO, limits: Limits, log: Log) -> Tree:
    where = where_of(path)
    if not isinstance(path, Path | str):
        return ZipTree(path, where, limits, log)
    try:
        if Path(path).is_dir():
            return FolderTree(Path(path), limits, log)
        if not Path(path).is_file():
            raise DataError("there is no such file or folder", where=where, fix="Check the path")
    except (OSError, ValueError) as error:  # no permission, a name too long, a NUL in it
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot be read ({error})", where=where, fix="Check the path") from None
    if Path(path).suffix.lower() in (".json", ".xml"):
        fix = "Give the folder that holds it and the pictures"
        raise DataError("annotations without pictures", where=where, fix=fix)
    return ZipTree(Path(path), where, limits, log)


def _pictures(tree: Tree, names: Names, faults: Faults) -> list[Picture]:
    """Read the first layout that ``tree`` has."""
    files = Files(tree)
    if jsons := coco_files(tree, faults):
        return _built(tree, files, read_coco(tree, files, jsons, names, faults), faults)
    xmls = voc_files(tree)
    masks = {} if xmls else mask_files(tree, files, faults)
    if not xmls and not masks:
        raise DataError("holds no annotations of a known layout", where=tree.where, fix=LAYOUTS)
    numbers = class_numbers(tree, names, faults)
    if not numbers and any("/segmentationclass/" in f"/{name.lower()}" for name in tree.files):
        faults.warn(tree.where, "no file names the classes of SegmentationClass; they are taken as VOC's own")
        numbers = dict(enumerate(CLASSES, 1))
    if xmls:
        return _built(tree, files, read_voc(tree, files, xmls, numbers, names, faults), faults)
    pictures = _built(tree, files, read_masks(tree, masks, numbers, names, faults), faults)
    return white_is_object(pictures, numbers, faults)


def _built(tree: Tree, files: Files, listed: Iterator[Listed], faults: Faults) -> list[Picture]:
    """Build the pictures one by one, so that memory holds little beyond what is kept."""
    limits = tree.limits
    pictures: list[Picture] = []
    seen: set[str] = set()
    read = kept = 0
    for item in listed:
        seen.add(item.name)
        if len(seen) > limits.files:
            raise DataError(f"more than {limits.files} pictures", where=tree.where, fix="Use fewer")
        try:
            content = tree.read(item.name)
            read += len(content)
            picture = build(item, content, limits, faults)
        except DataError as error:
            faults.error(error)
            continue
        pictures.append(picture)
        kept += picture.nbytes
        if max(read, kept) > limits.bytes_all:
            words = f"more than {limits.bytes_all / 1e6:.0f} MB in all"
            raise DataError(words, where=tree.where, fix="Use fewer or smaller pictures")
    for name in sorted(name for names in files.by_stem.values() for name in names if name not in seen):
        faults.bad(f"{tree.where}: {name}", "a picture that no annotation could be used for")
    return pictures
