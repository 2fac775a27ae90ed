"""Pictures and masks of the same name: one PNG of class numbers each, or one binary PNG a class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from metalab.data.annotation import INSTANCES, Claim, Faults, Instance, Listed, Picture
from metalab.data.archives import Tree, printable
from metalab.data.finding import MASK_FOLDERS, PICTURE_FOLDERS, Files
from metalab.data.frames import Frame
from metalab.data.masks import box_around, read_numbers
from metalab.data.reading import Names
from metalab.errors import DataError

IGNORED = 255
NAMING = ("labels.json", "classes.json", "classes.txt", "labels.txt")
NAMING_BYTES = 1_000_000
BACKGROUND = {"background", "_background_", "__background__", "bg", "unlabeled", "unlabelled"}

Key = tuple[str, ...]


def mask_files(tree: Tree, files: Files, faults: Faults) -> dict[str, list[tuple[str | None, str]]]:
    """Return {picture: (class, or None for one of class numbers, and mask file) of each mask}."""
    pictures: dict[Key, str] = {}
    for name in files.images:
        path = PurePosixPath(name)
        at = _position(path, PICTURE_FOLDERS)
        if at is not None and _position(path, MASK_FOLDERS) is None:
            pictures.setdefault((*path.parts[:at], *path.parts[at + 1 : -1], path.stem), name)
    found: dict[str, list[tuple[str | None, str]]] = {}
    for name in tree.files:
        path = PurePosixPath(name)
        at = _position(path, MASK_FOLDERS - {"segmentationobject"})
        if at is None or path.suffix.lower() != ".png":
            continue
        base, inner = path.parts[:at], path.parts[at + 1 : -1]
        whole = pictures.get((*base, *inner, path.stem))
        of_class = pictures.get((*base, *inner[:-1], path.stem)) if inner else None
        if whole is not None:  # a folder in between is a split, such as train
            found.setdefault(whole, []).append((None, name))
        elif of_class is not None:
            found.setdefault(of_class, []).append((inner[-1], name))
        else:
            faults.bad(f"{tree.where}: {printable(name)}", "a mask without a picture of the same name")
    return found


def _position(path: PurePosixPath, folders: set[str]) -> int | None:
    return next((i for i, part in enumerate(path.parts[:-1]) if part.lower() in folders), None)


def class_numbers(tree: Tree, names: Names, faults: Faults) -> dict[int, str]:
    """Return {number: class} of the topmost ``labels.json`` or ``classes.txt``, {} when there is none.

    JSON is {number: name}, {name: number} or a list; a list, or a line each, counts from 1, or from 0 when
    its first name is that of the background.
    """
    held = [name for name in tree.files if PurePosixPath(name).name.lower() in NAMING]
    for name in sorted(held, key=lambda name: (name.count("/"), NAMING.index(name.split("/")[-1].lower()))):
        at = f"{tree.where}: {printable(name)}"
        try:
            content = tree.read(name)
            if len(content) > NAMING_BYTES:
                raise DataError(f"more than {NAMING_BYTES / 1e6:.0f} MB of class names", where=at)
            numbers = _parse(content.decode("utf-8-sig", "replace"), name.lower().endswith(".json"), at)
        except DataError as error:
            faults.error(error)
            continue
        return {number: names.clean(label, at) for number, label in numbers.items() if number}
    return {}


def _parse(text: str, is_json: bool, at: str) -> dict[int, str]:
    if not is_json:
        return _counted([line.strip() for line in text.splitlines() if line.strip()])
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        raise DataError("not readable JSON", where=at) from None
    if isinstance(held, list) and all(isinstance(label, str) for label in held):
        return _counted(held)
    numbers: dict[int, str] = {}
    for key, value in held.items() if isinstance(held, dict) else ():
        number, label = (value, key) if type(value) is int else (key, value)
        if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 8:
            number = int(number)
        if type(number) is not int or not isinstance(label, str) or number in numbers:
            raise DataError("not a number and a name of each class, each number once", where=at)
        numbers[number] = label
    if not numbers:
        raise DataError("neither an object nor a list of class names", where=at)
    return numbers


def _counted(labels: list[str]) -> dict[int, str]:
    return dict(enumerate(labels, 0 if labels and labels[0].lower() in BACKGROUND else 1))


def read_masks(
    tree: Tree,
    masks: dict[str, list[tuple[str | None, str]]],
    numbers: dict[int, str],
    names: Names,
    faults: Faults,
) -> Iterator[Listed]:
    """Yield the pictures of :func:`mask_files`, one object for each class in a picture."""
    for picture, held in masks.items():
        where = f"{tree.where}: {printable(picture)}"
        claims: list[Claim] = []
        size, total, sized = None, 0, ""
        for label, name in held:
            at = f"{tree.where}: {printable(name)}"
            try:
                values = read_numbers(tree.read(name), at, tree.limits)
                total += values.nbytes
                if total > tree.limits.bytes_all:
                    words = f"the masks of one picture need more than {tree.limits.bytes_all / 1e6:.0f} MB"
                    raise DataError(words, where=at)
            except DataError as error:
                faults.error(error)
                continue
            if size is None:
                size, sized = (values.shape[1], values.shape[0]), printable(name)
            if label is None:
                claims += _of_numbers(values, at, numbers, faults)
            elif (mask := _binary(values, at, faults)).any():
                claims.append(_claim(mask, True, at, names.clean(label, at)))
        if size is not None:  # else no mask of it could be read, as was noted
            yield Listed(picture, f"{where} ({sized})", size, claims)


def _of_numbers(values: np.ndarray, at: str, numbers: dict[int, str], faults: Faults) -> Iterator[Claim]:
    for value in np.unique(values)[: INSTANCES + 1].tolist():
        if value == IGNORED and IGNORED not in numbers:
            yield _claim(values, value, at, None)
        elif value > 0:
            if value not in numbers:
                faults.warn(at, f"no file names class number {value}; it is called 'class {value}'")
            yield _claim(values, value, f"{at}, number {value}", numbers.get(value, f"class {value}"))


def _binary(values: np.ndarray, at: str, faults: Faults) -> np.ndarray:
    """Return the object's pixels: whatever is not 0, or of blurred edges what is nearer to white."""
    levels = np.unique(values)
    if len(levels) <= 2:
        return values > 0
    middle = (int(levels[-1]) + 1) // 2
    faults.warn(at, f"a binary mask of many values; those from {middle} on are the object")
    return values >= middle


def _claim(values: np.ndarray, value: int | bool, at: str, label: str | None) -> Claim:
    return Claim(at, label, None, partial(_equal, values, value), (values.shape[1], values.shape[0]))


def _equal(values: np.ndarray, value: int | bool, frame: Frame) -> np.ndarray:
    return frame.raster(values) == value


def white_is_object(pictures: list[Picture], numbers: dict[int, str], faults: Faults) -> list[Picture]:
    """Return ``pictures``; when all their masks hold only 0 and 255, 255 is no number but the object."""
    if any(picture.instances for picture in pictures):
        return pictures
    label = next(iter(numbers.values()), "object")
    changed = []
    for picture in pictures:
        box = None if picture.ignore is None else box_around(picture.ignore)
        if box is not None:
            faults.warn(picture.name, f"masks of only 0 and 255: 255 is read as {label!r}")
            picture = Picture(picture.name, picture.image, [Instance(label, box, picture.ignore)])
        changed.append(picture)
    return changed
