"""Own images as NumPy saves them: one .npz of images and labels, read image by image, never unpickled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image

from metalab.data.archives import Limits, Log, ZipTree, printable
from metalab.data.decoding import check_shape
from metalab.errors import DataError

IMAGES, LABELS = ("images", "X", "x"), ("labels", "y")
SAVE = "Save it with np.savez_compressed(FILE, images=..., labels=...)"
HEADER = 10_000
"""Bytes of an array's description, at most; NumPy's own limit."""


def is_arrays(name: str) -> bool:
    """Say whether ``name`` ends like a file of NumPy arrays."""
    return PurePosixPath(name).suffix.lower() == ".npz"


def array_images(
    file: Path | BinaryIO, where: str, limits: Limits, log: Log
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (label, name such as ``images[3]``, image (H, W, 3) uint8) of a .npz, one image at a time.

    It holds ``images`` (or ``X``): (n, H, W), (n, H, W, C) or (n, C, H, W) with 1, 3 or 4 channels, as
    integers 0..255, 16 bits without sign, booleans, or floats 0..1; and ``labels`` (or ``y``): (n,) text or
    numbers. Raises :class:`DataError` naming the array.
    """
    tree = ZipTree(file, where, limits, log)
    names = {name.removesuffix(".npy"): name for name in tree.files if name.endswith(".npy")}
    images, labels = (_find(names, wanted, where) for wanted in (IMAGES, LABELS))
    for name in names:
        if name not in (images, labels):
            log.note(f"{where}: {printable(name)}", "neither images nor labels", "skipped")
    truth = _labels(tree, names[labels], f"{where}: {labels}")
    at = f"{where}: {images}"
    with tree.open(names[images], limits.bytes_all) as read:
        shape, dtype = _header(read, at)
        if len(shape) not in (3, 4) or not math.prod(shape):
            raise _wrong_shape(shape, at)
        if shape[0] != len(truth):
            raise DataError(
                f"{shape[0]} images but {len(truth)} labels in {labels!r}",
                where=at,
                fix="Give one label an image",
            )
        if shape[0] > limits.files:
            raise DataError(f"{shape[0]} images, at most {limits.files}", where=at, fix="Use fewer")
        height, width, last = _layout(shape, at)
        if dtype.kind not in "buif":
            raise DataError(f"holds {dtype}, not pixels", where=at, fix="Save numbers, such as uint8")
        check_shape(width, height, at, limits)
        size = math.prod(shape[1:]) * dtype.itemsize
        for number, label in enumerate(truth):
            here = f"{at}[{number}]"
            values = np.frombuffer(_exactly(read, size, here), dtype).reshape(shape[1:])
            if label is None:
                log.bad(DataError("its label is not a number", where=here))
                continue
            try:
                pixels = _pixels(values, here)
            except DataError as error:
                log.bad(error)
                continue
            yield label, f"{images}[{number}]", _coloured(pixels, last, limits.side)


def _find(names: dict[str, str], wanted: tuple[str, ...], where: str) -> str:
    for name in wanted:
        if name in names:
            return name
    found = ", ".join(printable(name) for name in sorted(names)[:20]) or "none"
    raise DataError(
        f"no array {wanted[0]!r} (or {wanted[1]!r}); arrays found: {found}", where=where, fix=SAVE
    )


def _labels(tree: ZipTree, name: str, at: str) -> list[str | None]:
    """Return the labels as text, None for a number that is none; raises :class:`DataError`."""
    with tree.open(name, tree.limits.bytes_each) as read:
        shape, dtype = _header(read, at)
        if sum(side != 1 for side in shape) > 1 or not shape:
            raise DataError(f"has shape {shape}, not (n,)", where=at, fix="Give one label an image")
        if dtype.kind not in "USbuif":
            raise DataError(f"holds {dtype}, not labels", where=at, fix="Save text or whole numbers")
        size = math.prod(shape) * dtype.itemsize
        if size > tree.limits.bytes_each:
            raise DataError(f"{math.prod(shape)} labels, too many", where=at, fix="Use fewer")
        values = np.frombuffer(_exactly(read, size, at), dtype) if size else np.empty(math.prod(shape), dtype)
    if dtype.kind == "S":
        return [value.decode("utf-8", "backslashreplace") for value in values.tolist()]
    if dtype.kind == "f":
        return [f"{value:g}" if math.isfinite(value) else None for value in values.tolist()]
    return [str(value) for value in values.tolist()]


def _header(read: Callable[[int], bytes], at: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return an array's shape and type before anything is allocated for it; raises :class:`DataError`."""
    start = read(8)
    wide = start[6:7] == b"\2"
    if start[:6] != b"\x93NUMPY" or start[6:8] not in (b"\1\0", b"\2\0"):
        raise DataError("not an array as NumPy saves it", where=at, fix=SAVE)
    length = read(4 if wide else 2)
    count = int.from_bytes(length, "little")
    if count > HEADER:
        raise DataError("its description is too long", where=at, fix=SAVE)
    header = BytesIO(length + read(count))
    parse = np.lib.format.read_array_header_2_0 if wide else np.lib.format.read_array_header_1_0
    try:
        shape, by_columns, dtype = parse(header, max_header_size=HEADER)
    except Exception as error:  # damaged descriptions make NumPy raise almost anything
        raise DataError(f"its description is damaged ({type(error).__name__})", where=at, fix=SAVE) from None
    if dtype.hasobject:
        raise DataError(
            "holds Python objects, which could run code and are never read",
            where=at,
            fix="Save numbers, and text as np.array(labels, dtype=str)",
        )
    if any(side < 0 for side in shape):
        raise DataError(f"has shape {shape}", where=at, fix=SAVE)
    if by_columns and len(shape) > 1:
        raise DataError("saved column by column", where=at, fix="Save np.ascontiguousarray(images) instead")
    return shape, dtype


def _exactly(read: Callable[[int], bytes], size: int, at: str) -> bytes:
    """Return the next ``size`` bytes; raises :class:`DataError` where there are fewer."""
    parts, missing = [], size
    while missing and (part := read(min(missing, 1 << 20))):
        parts.append(part)
        missing -= len(part)
    if missing:
        raise DataError("the array ends too early", where=at, fix="Save it again")
    return b"".join(parts)


def _layout(shape: tuple[int, ...], at: str) -> tuple[int, int, bool]:
    """Return height, width, and whether channels come last; raises :class:`DataError`."""
    if len(shape) == 3:
        return shape[1], shape[2], True
    if shape[3] in (1, 3, 4):
        return shape[1], shape[2], True
    if shape[1] in (1, 3, 4):
        return shape[2], shape[3], False
    raise _wrong_shape(shape, at)


def _wrong_shape(shape: tuple[int, ...], at: str) -> DataError:
    fix = "Give (n, H, W), (n, H, W, C) or (n, C, H, W) with 1, 3 or 4 channels"
    return DataError(f"has shape {shape}", where=at, fix=fix)


def _pixels(values: np.ndarray, at: str) -> np.ndarray:
    """Return numbers of any kind as uint8; raises :class:`DataError`."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * 255
    if values.dtype == np.uint8:
        return values
    scale = 1 if values.dtype.kind == "f" else 65535 if values.dtype == np.uint16 else 255
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(low) or not math.isfinite(high):
        raise DataError("holds values that are not numbers", where=at, fix="Replace or remove it")
    if low < 0 or high > scale:
        kind = "floats" if scale == 1 else "integers"
        words = f"values {low:g} to {high:g}; {kind} go from 0 to {scale}"
        raise DataError(words, where=at, fix="Scale them, or save uint8 from 0 to 255")
    return np.rint(values.astype(np.float32) * (255 / scale)).astype(np.uint8)


def _coloured(pixels: np.ndarray, last: bool, side: int) -> np.ndarray:
    """Return (H, W), (H, W, C) or (C, H, W) as (H, W, 3), on white if transparent, no side above ``side``."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    elif not last:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.shape[2] == 4:
        opaque = pixels[..., 3:].astype(np.float32) / 255
        pixels = np.rint(pixels[..., :3] * opaque + 255 * (1 - opaque)).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))
    image.thumbnail((side, side), Image.Resampling.BILINEAR)
    return np.array(image)
