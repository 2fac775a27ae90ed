"""COCO: one JSON of images, categories and annotations, the pictures beside it or in a folder nearby."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from metalab.data.annotation import Claim, Faults, Listed
from metalab.data.archives import Tree, printable
from metalab.data.coco_masks import draw_segmentation, is_number, is_side, raster_of
from metalab.data.finding import Files
from metalab.data.frames import Box
from metalab.data.reading import Names
from metalab.errors import DataError

KEYS = ("images", "annotations", "categories")
SNIFFED = 100  # JSON files that are opened to see whether they are COCO's
NESTED = 5_000_000  # lists and objects in one file; each takes up to twenty times its text in memory
DEPTH = 20  # lists and objects within each other; COCO needs four
STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # possessive: linear whatever comes
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
FIX = "Export the annotations again as COCO JSON"


def coco_files(tree: Tree, faults: Faults) -> list[str]:
    """Return the COCO files of ``tree``: those called ``instances*.json``, else any with its keys."""
    names = [name for name in tree.files if name.lower().endswith(".json")]
    found = [name for name in names if PurePosixPath(name).name.lower().startswith("instances")]
    if found:
        return found
    total = 0
    for name in names[:SNIFFED]:
        try:
            content = tree.read(name)
        except DataError as error:
            faults.error(error)
            continue
        total += len(content)
        if total > tree.limits.bytes_all:
            break
        if all(f'"{key}"'.encode() in content for key in KEYS):
            found.append(name)
    return found


def read_coco(tree: Tree, files: Files, jsons: list[str], names: Names, faults: Faults) -> Iterator[Listed]:
    """Yield the pictures of COCO files; raises :class:`DataError` when the only file is unusable."""
    known: dict[str, str] = {}
    for name in jsons:
        at = f"{tree.where}: {printable(name)}"
        try:
            held = _load(tree.read(name), at)
        except DataError as error:
            if len(jsons) == 1:
                raise
            faults.error(error)
            continue
        yield from _File(held, at, name, names, faults).pictures(files, known)


def _load(content: bytes, where: str) -> dict[str, Any]:
    """Return the JSON object with COCO's three lists; size and depth are judged before it is parsed."""
    if content.count(b"{") + content.count(b"[") > NESTED:
        raise DataError(f"more than {NESTED} lists and objects", where=where, fix="Use a part of it")
    try:
        text = content.decode("utf-8-sig")
        brackets = STRINGS.sub("", text).encode().translate(None, NO_BRACKETS)
        steps = np.isin(np.frombuffer(brackets, np.uint8), np.frombuffer(b"[{", np.uint8)) * 2 - 1
        if np.cumsum(steps).max(initial=0) > DEPTH:
            raise DataError("nested too deep", where=where, fix=FIX)
        held = json.loads(text)
    except DataError:
        raise
    except ValueError as error:  # bytes that are no text, or numbers of thousands of digits, too
        raise DataError(f"not readable JSON ({error})", where=where, fix=FIX) from None
    if not isinstance(held, dict):
        raise DataError("not an object of images, annotations and categories", where=where, fix=FIX)
    for key in KEYS:
        if not isinstance(held.get(key), list):
            raise DataError(f"{key} is not a list", where=where, fix=FIX)
    return held


class _File:
    """One JSON that was read: everything in it may still be anything."""

    def __init__(self, held: dict[str, Any], at: str, name: str, names: Names, faults: Faults) -> None:
        self.held, self.at, self.name, self.faults = held, at, name, faults
        self.labels = self._categories(names)

    def _entries(self, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (where, entry) of the usable entries of list ``key``."""
        for i, entry in enumerate(self.held[key]):
            where = f"{self.at}, {key}[{i}]"
            if not isinstance(entry, dict):
                self.faults.bad(where, "is not an object")
            elif key == "annotations" or isinstance(entry.get("id"), int | str):
                yield where, entry
            else:
                self.faults.bad(f"{where}.id", "is neither a number nor a word")

    def _categories(self, names: Names) -> dict[int | str, str]:
        labels: dict[int | str, str] = {}
        seen: set[str] = set()
        for where, entry in self._entries("categories"):
            raw = entry.get("name")
            if not isinstance(raw, str):
                self.faults.bad(f"{where}.name", "is not a word")
            elif entry["id"] in labels:
                self.faults.bad(f"{where}.id", "is used twice; the first category counts:", entry["id"])
            else:
                if raw in seen:
                    words = "is the name of several categories; they are one class:"
                    self.faults.bad(f"{where}.name", words, raw[:80], "repaired")
                seen.add(raw)
                labels[entry["id"]] = names.clean(raw, where)
        return labels

    def pictures(self, files: Files, known: dict[str, str]) -> Iterator[Listed]:
        """Yield each picture once; ``known`` says in which file a picture was met before."""
        names: dict[int | str, str | None] = {}  # of each image id; None for one left out
        stated: dict[str, tuple[str, tuple[int, int] | None]] = {}
        for where, entry in self._entries("images"):
            if entry["id"] in names:
                self.faults.bad(f"{where}.id", "is used twice; the first image counts:", entry["id"])
                continue
            name = names[entry["id"]] = self._file(entry, where, files)
            if name is None:
                continue
            if known.setdefault(name, self.at) != self.at:
                self.faults.bad(where, "a picture that another file annotates already:", name)
                names[entry["id"]] = None
            elif name in stated:
                words = "lists a file again; its annotations are added to the first entry's:"
                self.faults.bad(f"{where}.file_name", words, name, "repaired")
            else:
                stated[name] = where, self._size(entry, where)
        claims: dict[str, list[Claim]] = {name: [] for name in stated}
        for image, claim in self._claims(names):
            claims[image].append(claim)
        for name, (where, size) in stated.items():
            yield Listed(name, f"{where} ({printable(name)})", size, claims[name])

    def _file(self, entry: dict[str, Any], where: str, files: Files) -> str | None:
        path = entry.get("file_name")
        if not isinstance(path, str) or not path:
            self.faults.bad(f"{where}.file_name", "is not a word")
            return None
        name = files.named(path, self.name)
        folder = PurePosixPath(path.replace("\\", "/")).parent.name
        if name is None:
            self.faults.bad(f"{where}.file_name", "there is no such picture, or several:", path)
        elif folder not in ("", "..", *PurePosixPath(name).parts):
            self.faults.warn(f"{where}.file_name", f"a picture is not in {folder!r}; it is found by its name")
        return name

    def _size(self, entry: dict[str, Any], where: str) -> tuple[int, int] | None:
        width, height = entry.get("width"), entry.get("height")
        if width is None and height is None:
            return None
        if is_side(width) and is_side(height):
            return width, height
        words = "width and height are no numbers of pixels; the picture's own are used:"
        self.faults.bad(where, words, f"{width!s:.20} {height!s:.20}", "repaired")
        return None

    def _claims(self, names: dict[int | str, str | None]) -> Iterator[tuple[str, Claim]]:
        """Yield (file name, claim) of each annotation that belongs to a picture and a class."""
        seen: dict[int | str, dict[str, Any]] = {}
        for where, entry in self._entries("annotations"):
            image, category, ident = (entry.get(key) for key in ("image_id", "category_id", "id"))
            if not isinstance(image, int | str) or image not in names:
                self.faults.bad(f"{where}.image_id", "no image has this id:", f"{image!s:.50}")
                continue
            name = names[image]
            if name is None:  # the picture itself was noted
                continue
            crowd = entry.get("iscrowd") == 1
            known = isinstance(category, int | str) and category in self.labels
            if not known and not crowd:
                self.faults.bad(f"{where}.category_id", "no category has this id:", f"{category!s:.50}")
                continue
            if isinstance(ident, int | str):
                if ident in seen and seen[ident] == entry:
                    self.faults.bad(f"{where}.id", "the same annotation again:", ident)
                    continue
                if ident in seen:
                    words = "is used twice; both annotations count:"
                    self.faults.bad(f"{where}.id", words, ident, "repaired")
                seen[ident] = entry
            box, shape = self._box(entry, where), entry.get("segmentation")
            if box is None and not shape:
                if entry.get("bbox") is None:
                    self.faults.bad(where, "has neither a bbox nor a segmentation")
                continue
            draw = partial(draw_segmentation, shape) if shape else None
            yield name, Claim(where, None if crowd else self.labels[category], box, draw, raster_of(shape))

    def _box(self, entry: dict[str, Any], where: str) -> Box | None:
        box = entry.get("bbox")
        if box is None or box == []:
            return None
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
            action = "repaired" if entry.get("segmentation") else "skipped"
            self.faults.bad(f"{where}.bbox", "is not four finite numbers:", f"{box!s:.80}", action)
            return None
        x, y, width, height = map(float, box)
        return x, y, x + width, y + height
