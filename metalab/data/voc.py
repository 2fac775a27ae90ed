"""Pascal VOC: one XML of boxes a picture, and PNG masks of class and object numbers where there are any."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from xml.etree import ElementTree

import numpy as np

from metalab.data.annotation import INSTANCES, Claim, Faults, Listed
from metalab.data.archives import Tree, printable
from metalab.data.finding import Files
from metalab.data.frames import SIDE, Box, Frame
from metalab.data.masks import area, box_around, overlap, read_numbers
from metalab.data.reading import Names
from metalab.errors import DataError

XML_BYTES = 5_000_000  # a thousand objects need about 0.4 MB
DEPTH = 20  # elements within each other; VOC needs five
SURE = 0.5  # least overlap of a mask's box with the box that it belongs to
IGNORED = 255
# The numbers of SegmentationClass, from 1 on, where no file names others.
# fmt: off
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)
# fmt: on


def voc_files(tree: Tree) -> list[str]:
    """Return the XML files of ``tree``: those in folders called Annotations, else all."""
    found = [name for name in tree.files if name.lower().endswith(".xml")]
    inner = [name for name in found if PurePosixPath(name).parent.name.lower() == "annotations"]
    return inner or found


def read_voc(
    tree: Tree, files: Files, xmls: list[str], numbers: dict[int, str], names: Names, faults: Faults
) -> Iterator[Listed]:
    """Yield the pictures of VOC files. ``numbers`` names the classes of masks; a broken XML is noted."""
    known: dict[str, str] = {}
    for name in xmls:
        at = f"{tree.where}: {printable(name)}"
        try:
            root = parse(tree.read(name), at)
        except DataError as error:
            faults.error(error)
            continue
        if root.tag != "annotation":
            faults.bad(at, "not a VOC annotation:", root.tag)
            continue
        said = (root.findtext("filename") or "").strip()
        picture = files.of_stem(PurePosixPath(name).stem, name) or (files.named(said, name) if said else None)
        if picture is None:
            faults.bad(at, "there is no picture of this name, or several:", said or PurePosixPath(name).stem)
        elif known.setdefault(picture, at) != at:
            faults.bad(at, "a picture that another file annotates already:", picture)
        else:
            size = _size(root, at, faults)
            claims = list(_claims(root, at, names, faults))
            claims = _with_masks(claims, tree, files, name, {v: k for k, v in numbers.items()}, faults)
            yield Listed(picture, f"{at} ({printable(picture)})", size, claims)


class _Builder(ElementTree.TreeBuilder):
    """Refuses what a VOC file has no use for: a document type could declare entities that expand for ever."""

    depth = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DataError("declares a document type")

    def start(self, tag: str, attrs: dict[str, str]) -> ElementTree.Element:
        self.depth += 1
        if self.depth > DEPTH:
            raise DataError("nested too deep")
        return super().start(tag, attrs)

    def end(self, tag: str) -> ElementTree.Element:
        self.depth -= 1
        return super().end(tag)


def parse(content: bytes, where: str) -> ElementTree.Element:
    """Return the root of an XML; raises :class:`DataError` for a broken, large, or deep one, or a DOCTYPE."""
    fix = "Export the annotations again as Pascal VOC"
    if len(content) > XML_BYTES:
        raise DataError(f"more than {XML_BYTES / 1e6:.0f} MB of XML", where=where, fix=fix)
    try:
        parser = ElementTree.XMLParser(target=_Builder())
        parser.feed(content)
        return parser.close()
    except DataError as error:
        raise DataError(error.what, where=where, fix=fix) from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the others: unknown encodings
        raise DataError(f"not readable XML ({error})", where=where, fix=fix) from None


def _size(root: ElementTree.Element, at: str, faults: Faults) -> tuple[int, int] | None:
    """Return the (width, height) stated; many programs write 0 where they do not know it."""
    texts = [(root.findtext(f"size/{key}") or "0").strip() for key in ("width", "height")]
    if texts == ["0", "0"]:
        return None
    sides = [int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0 for text in texts]
    if all(0 < side <= SIDE for side in sides):
        return sides[0], sides[1]
    words = "width and height are no numbers of pixels; the picture's own are used:"
    faults.bad(f"{at}, size", words, " ".join(text[:20] for text in texts), "repaired")
    return None


def _claims(root: ElementTree.Element, at: str, names: Names, faults: Faults) -> Iterator[Claim]:
    for i, entry in enumerate(root.findall("object"), 1):
        where = f"{at}, object {i}"
        label = (entry.findtext("name") or "").strip()
        if not label:
            faults.bad(f"{where}, name", "is missing or empty")
            continue
        box = _box(entry, f"{where}, bndbox", faults)
        if box is None:
            continue
        # VOC's own evaluation neither rewards nor punishes what is found there.
        difficult = (entry.findtext("difficult") or "").strip() == "1"
        if difficult:
            faults.warn(where, "an object marked as difficult is read as a region to ignore")
        yield Claim(where, None if difficult else names.clean(label, where), box)


def _box(entry: ElementTree.Element, where: str, faults: Faults) -> Box | None:
    values = []
    for key in ("xmin", "ymin", "xmax", "ymax"):
        text = (entry.findtext(f"bndbox/{key}") or "").strip()
        try:
            values.append(float(text))
        except ValueError:
            faults.bad(f"{where}, {key}", "is not a number:", text[:50])
            return None
    # VOC counts pixels from 1 and includes the last; the right side, exclusive, stays the same number.
    return values[0] - 1, values[1] - 1, values[2], values[3]


def _with_masks(
    claims: list[Claim], tree: Tree, files: Files, name: str, by_class: dict[str, int], faults: Faults
) -> list[Claim]:
    """Return ``claims`` with what the PNGs beside the XML's folder say: masks of objects, or of classes."""
    base, stem = posixpath.dirname(posixpath.dirname(name)), PurePosixPath(name).stem
    for folder in ("SegmentationObject", "SegmentationClass"):
        png = posixpath.join(base, folder, f"{stem}.png")
        if png not in files.all:
            continue
        at = f"{tree.where}: {printable(png)}"
        try:
            values = read_numbers(tree.read(png), at, tree.limits)
        except DataError as error:
            faults.error(error, action="repaired")  # the boxes remain
            continue
        size = values.shape[1], values.shape[0]
        if folder == "SegmentationObject":
            masked = _of_objects(claims, values, at, faults)
        else:
            masked = _of_classes(claims, values, by_class, at, faults)
        ignored = values == IGNORED
        if ignored.any():
            masked.append(Claim(at, None, None, partial(Frame.raster, raster=ignored), size))
        return masked
    return claims


def _of_objects(claims: list[Claim], values: np.ndarray, at: str, faults: Faults) -> list[Claim]:
    """Give each object the number whose pixels fill its box best; VOC numbers them in the XML's order."""
    size = values.shape[1], values.shape[0]
    found = [int(value) for value in np.unique(values) if value not in (0, IGNORED)]
    boxes = {value: box_around(values == value) for value in found[: IGNORED - 1]}
    pairs = [
        (overlap(claim.box, box), -abs(value - i - 1), i, value)
        for i, claim in enumerate(claims[:INSTANCES])  # more are left out later
        for value, box in boxes.items()
    ]
    masked, taken = list(claims), set()
    for share, _, i, value in sorted(pairs, reverse=True):
        if share < SURE or value in taken or masked[i].draw is not None:
            continue
        taken.add(value)
        draw = partial(_equal, values, value)
        masked[i] = Claim(claims[i].where, claims[i].label, claims[i].box, draw, size)
    if left := len(found) - len(taken):
        faults.bad(at, "object numbers that fit no box of the XML:", left)
    return masked


def _of_classes(
    claims: list[Claim], values: np.ndarray, by_class: dict[str, int], at: str, faults: Faults
) -> list[Claim]:
    """Give each object its class's pixels within its box: a class mask does not tell objects apart."""
    size = values.shape[1], values.shape[0]
    masked = []
    for claim in claims:
        number = by_class.get(claim.label) if claim.label is not None else None
        if number is None and claim.label is not None:
            faults.warn(at, f"no class number is known for {claim.label!r}; only its boxes are used")
        draw = None if number is None else partial(_inside, values, number, claim.box)
        masked.append(Claim(claim.where, claim.label, claim.box, draw, size if draw else None))
    return masked


def _equal(values: np.ndarray, value: int, frame: Frame) -> np.ndarray:
    return frame.raster(values) == value


def _inside(values: np.ndarray, value: int, box: Box, frame: Frame) -> np.ndarray:
    mask = frame.raster(values) == value
    if not np.isfinite(box).all() or not area(box):
        return mask & False
    x1, y1, x2, y2 = frame.box(box)
    rows, columns = np.arange(mask.shape[0])[:, None] + 0.5, np.arange(mask.shape[1])[None] + 0.5
    return mask & (rows > y1) & (rows < y2) & (columns > x1) & (columns < x2)
