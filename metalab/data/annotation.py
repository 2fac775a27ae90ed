"""Annotated pictures, and how each is built from what a file claims: clipped, scaled, or noted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from metalab.data.archives import Limits, Log, printable
from metalab.data.decoding import decode_noted
from metalab.data.frames import Box, Frame, alike, frame_of
from metalab.data.masks import box_around
from metalab.errors import DataError

Target = Literal["masks", "boxes"]
"""What is asked of annotated pictures."""
INSTANCES = 1000  # in one picture; COCO's fullest has 93
THIN = 0.01  # pixels; a narrower box holds nothing
SHOWN = 10  # notes about one kind of fault, before the rest is only counted


@dataclass(frozen=True)
class Instance:
    """One object: its class, box (x1, y1, x2, y2) in pixels, right and bottom exclusive, and mask.

    ``mask`` is bool (H, W) of the picture's size, or None where only a box is known.
    """

    label: str
    box: Box
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class Picture:
    """An image (H, W, 3) uint8, its objects, and where nothing is said, bool (H, W) or None for nowhere."""

    name: str
    image: np.ndarray
    instances: list[Instance] = field(default_factory=list)
    ignore: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """The memory of the image and its masks, in bytes."""
        masks = [instance.mask for instance in self.instances] + [self.ignore]
        return self.image.nbytes + sum(mask.nbytes for mask in masks if mask is not None)


@dataclass(frozen=True)
class Claim:
    """What a file says of one object, not yet checked: ``label`` is None for a region to ignore.

    ``box`` is (x1, y1, x2, y2) in the annotations' pixels; ``draw`` gives the mask bool (H, W) in a frame or
    raises :class:`DataError`; ``size`` is the (width, height) of the mask's own raster, if it has one.
    """

    where: str
    label: str | None
    box: Box | None = None
    draw: Callable[[Frame], np.ndarray] | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Listed:
    """A picture file, the (width, height) that its annotations count in, if stated, and their claims."""

    name: str
    where: str
    size: tuple[int, int] | None
    claims: Sequence[Claim]


class Faults:
    """Notes of what is wrong with annotations; of each kind only the first few, then how many more.

    ``target`` is what is asked of the pictures: of boxes alone it does not matter whose a pixel is.
    """

    def __init__(self, log: Log, target: Target = "boxes") -> None:
        self.log, self.target = log, target
        self.seen: Counter[tuple[str, str]] = Counter()
        self.warned: dict[str, tuple[str, int]] = {}

    def bad(
        self, where: str, what: str, detail: object = "", action: Literal["skipped", "repaired"] = "skipped"
    ) -> None:
        """Note a fault: ``what`` is its kind, ``detail`` what differs."""
        where, words = printable(where), printable(f"{what} {detail}".strip()[:300])
        self.seen[what, action] += 1
        if self.seen[what, action] <= SHOWN:
            self.log.note(where, words, action)

    def error(
        self, error: DataError, where: str = "", action: Literal["skipped", "repaired"] = "skipped"
    ) -> None:
        """Note what an exception says; its words are the kind."""
        self.bad(error.where or where, error.what, action=action)

    def warn(self, where: str, what: str) -> None:
        """Note ``what`` once, with the first place and the number of others: it deserves a look."""
        first, count = self.warned.get(what, (where, 0))
        self.warned[what] = first, count + 1

    def close(self, where: str) -> None:
        """Note how many faults and warnings there were beyond those shown."""
        for what, (first, count) in self.warned.items():
            more = f" (and {count - 1} more such)" if count > 1 else ""
            self.log.note(printable(first), printable(what) + more, "warning")
        for (what, action), count in self.seen.items():
            if count > SHOWN:
                self.log.note(where, f"{count - SHOWN} more: {printable(what[:300])}", action)


def build(listed: Listed, content: bytes, limits: Limits, faults: Faults) -> Picture:
    """Return the picture of file ``content`` with what its claims come to; faulty ones are noted.

    No side is longer than ``limits.side``: boxes and masks are reduced with the image. Raises
    :class:`DataError` when the image cannot be read, or is another than the one annotated.
    """
    image, notes = decode_noted(content, listed.where, limits)
    frame, guessed = frame_of(content, image.shape[:2], listed.size, listed.where)
    if "scaled" in guessed:
        faults.bad(listed.where, guessed, action="repaired")
    elif guessed:
        faults.warn(listed.where, guessed)
    for words in notes:
        faults.warn(listed.where, words)
    if len(listed.claims) > INSTANCES:
        faults.bad(listed.where, f"more than {INSTANCES} objects; the first are used:", len(listed.claims))
    instances: list[Instance] = []
    ignore = np.zeros(frame.shape, bool)
    held = image.nbytes
    for claim in listed.claims[:INSTANCES]:
        mask = _mask(claim, frame, faults)
        held += 0 if mask is None else mask.nbytes
        if held > limits.bytes_all:
            words = f"its masks need more than {limits.bytes_all / 1e6:.0f} MB"
            raise DataError(words, where=listed.where, fix="Use fewer objects or a smaller side")
        box = _box(claim, frame, mask, faults)
        if claim.label is None:
            if mask is not None:
                ignore |= mask
            elif box is not None:
                ignore |= _pixels(box, frame.shape)
        elif box is not None:
            instances.append(Instance(claim.label, box, mask))
    instances = _apart(instances, frame.shape, listed.where, faults)
    return Picture(printable(listed.name), image, instances, ignore if ignore.any() else None)


def without_bare(picture: Picture, where: str, faults: Faults) -> Picture:
    """Return ``picture`` for learning masks: where an object has only a box, nothing is said."""
    bare = [one for one in picture.instances if one.mask is None]
    if not bare:
        return picture
    ignore = np.zeros(picture.image.shape[:2], bool) if picture.ignore is None else picture.ignore.copy()
    for one in bare:
        ignore |= _pixels(one.box, ignore.shape)
        faults.bad(where, "an object has a box but no mask; its place is ignored:", one.label)
    masked = [one for one in picture.instances if one.mask is not None]
    for one in masked:
        ignore &= ~one.mask
    return replace(picture, instances=masked, ignore=ignore if ignore.any() else None)


def _pixels(box: Box, shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels that ``box`` touches as a mask bool (H, W)."""
    x1, y1, x2, y2 = box
    mask = np.zeros(shape, bool)
    mask[math.floor(y1) : math.ceil(y2), math.floor(x1) : math.ceil(x2)] = True
    return mask


def _mask(claim: Claim, frame: Frame, faults: Faults) -> np.ndarray | None:
    if claim.draw is None:
        return None
    kept = "skipped" if claim.box is None else "repaired"  # the box remains
    if claim.size is not None and claim.size != frame.size:
        said = f"of {claim.size[0]}×{claim.size[1]} pixels, the picture has {frame.size[0]}×{frame.size[1]}"
        if not alike(claim.size, frame.size):
            faults.bad(claim.where, "a mask of another size is left out:", said, kept)
            return None
        faults.bad(claim.where, "a mask of another size is scaled:", said, "repaired")
    try:
        mask = claim.draw(frame)
    except DataError as error:
        faults.error(error, claim.where, kept)
        return None
    if mask.any():
        return mask
    if claim.label is not None and claim.box is None:
        faults.bad(claim.where, "an object whose mask holds no pixel")
    elif claim.label is not None:
        faults.warn(claim.where, "a mask that holds no pixel; only the box is used")
    return None


def _box(claim: Claim, frame: Frame, mask: np.ndarray | None, faults: Faults) -> Box | None:
    """Return the claim's box within the picture, else the mask's; None when there is neither."""
    around = None if mask is None else box_around(mask)
    if claim.box is None:
        return around
    (width, height), (x1, y1, x2, y2) = frame.size, claim.box
    action = "skipped" if around is None else "repaired"  # the mask says where it is
    if not all(map(math.isfinite, claim.box)):
        faults.bad(claim.where, "a box that is not of finite numbers:", claim.box, action)
        return around
    if min(x2 - x1, y2 - y1) < THIN:
        faults.bad(claim.where, "a box without area:", claim.box, action)
        return around
    inside = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if min(inside[2] - inside[0], inside[3] - inside[1]) < THIN:
        faults.bad(claim.where, "a box outside the picture:", claim.box, action)
        return around
    # Rounding leads out by less than a pixel; that is no mistake to report.
    if max(abs(a - b) for a, b in zip(inside, claim.box, strict=True)) > 1:
        faults.bad(claim.where, "a box is clipped to the picture:", claim.box, "repaired")
    return frame.box(inside)


def _apart(instances: list[Instance], shape: tuple[int, int], where: str, faults: Faults) -> list[Instance]:
    """Give pixels that several classes claim to the smallest object; boxes stay as they are."""
    masked = [i for i, instance in enumerate(instances) if instance.mask is not None]
    numbers = {label: k for k, label in enumerate(sorted({instances[i].label for i in masked}), 1)}
    if len(numbers) < 2:
        return instances
    owner = np.zeros(shape, np.int32)
    for i in sorted(masked, key=lambda i: -np.count_nonzero(instances[i].mask)):
        owner[instances[i].mask] = numbers[instances[i].label]
    apart, changed = list(instances), False
    for i in masked:
        instance = instances[i]
        mask = instance.mask & (owner == numbers[instance.label])
        if not np.array_equal(mask, instance.mask):
            changed = True
            apart[i] = replace(instance, mask=mask if mask.any() else None)
    if changed:
        words = "two classes claim the same pixels; the smaller object has them"
        if faults.target == "masks":
            faults.bad(where, words, action="repaired")
        else:
            faults.warn(where, words)
    return apart
