"""The same image twice: by its pixels, or nearly so."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from metalab.data.archives import Note

if TYPE_CHECKING:
    from metalab.data.reading import ImageSet

Pair = tuple[int, int, Literal["same", "near"]]

# Measured on 600 Omniglot drawings, 600 digits of 8×8 and 300 cut-outs of two photos, all taken as different:
# 3.7, 6.0 and 1.7 % of the pairs are within 8 bits, and 0, 0.01 and 0.004 % correlate as well. Of copies
# saved as JPEG of quality 40, at half the size, or paler, 92 to 100 % are found; of those cropped by 2 %, 75
# (photos) and 16 % (drawings). At 6 bits 1 to 2 % fewer of the photos' copies are found.
NEAR = 8
ALIKE = 0.98
THUMB = 16
BLOCK = 1024
PARTNERS = 20  # near ones listed of each image: thousands of frames of one film would be millions of pairs


def find_duplicates(images: Sequence[np.ndarray], near: int = NEAR) -> list[Pair]:
    """Return (i, j, kind) with i < j of (H, W, 3) uint8 images that are the same, or nearly.

    "same" is equal pixels, each copy paired with the first. "near" is a difference hash at most ``near`` of
    64 bits away and thumbnails that correlate, among what is left; -1 looks for "same" only.
    """
    first: dict[bytes, int] = {}
    pairs: list[Pair] = []
    unique: list[int] = []
    for j, image in enumerate(images):
        digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(image))
        i = first.setdefault(digest.digest(), j)
        if i == j:
            unique.append(j)
        else:
            pairs.append((i, j, "same"))
    if near >= 0 and len(unique) > 1:
        pairs += _near([images[i] for i in unique], np.array(unique), near)
    return sorted(pairs)


def leakage(imageset: ImageSet) -> list[Note]:
    """Return a warning for each image that is there twice: in one class, or (also nearly) in two."""
    notes: list[Note] = []
    for i, j, kind in find_duplicates(imageset.images):
        a, b = imageset.labels[i], imageset.labels[j]
        if a == b and kind == "same":
            notes.append(
                Note(imageset.names[j], f"the same image as {imageset.names[i]}, both {a!r}", "warning")
            )
        elif a != b:
            said = "the same image as" if kind == "same" else "nearly the same image as"
            words = f"{said} {imageset.names[i]}, but {b!r} here and {a!r} there"
            notes.append(Note(imageset.names[j], words, "warning"))
    return notes


def difference_hash(image: np.ndarray) -> np.ndarray:
    """Return the dHash of (H, W, 3) uint8, (64,) bool: where brightness falls to the right on a 9×8 grid."""
    grid = np.asarray(Image.fromarray(image).convert("L").resize((9, 8), Image.Resampling.BOX))
    return (grid[:, :-1] > grid[:, 1:]).ravel()


def _near(images: list[np.ndarray], ids: np.ndarray, near: int) -> list[Pair]:
    # As -1 and 1, so that a product counts the bits that agree less those that differ.
    hashes = np.stack([difference_hash(image) for image in images]).astype(np.float32) * 2 - 1
    thumbs = np.stack([_thumb(image) for image in images])
    # A blank thumbnail is like every other blank one: that says nothing.
    rows = np.flatnonzero(thumbs.any(axis=1))
    hashes, thumbs, ids = hashes[rows], thumbs[rows], ids[rows]
    pairs: list[Pair] = []
    for start in range(0, len(hashes), BLOCK):
        agree = hashes[start : start + BLOCK] @ hashes[start:].T
        for row, close in enumerate(np.triu(agree >= 64 - 2 * near, 1)):  # only what comes later
            later = np.flatnonzero(close) + start
            if not later.size:
                continue
            alike = thumbs[later] @ thumbs[start + row]
            order = np.argsort(-alike, kind="stable")[:PARTNERS]
            kept = later[order][alike[order] >= ALIKE]
            pairs += [(int(ids[start + row]), int(ids[j]), "near") for j in kept]
    return pairs


def _thumb(image: np.ndarray) -> np.ndarray:
    """Return (256,) float32 of length 1 and mean 0, so that a product is a correlation; 0 when blank."""
    small = Image.fromarray(image).convert("L").resize((THUMB, THUMB), Image.Resampling.BOX)
    values = np.asarray(small, np.float32).ravel()
    values = values - values.mean()
    length = float(np.linalg.norm(values))
    return values / length if length > 2 * THUMB else np.zeros_like(values)
