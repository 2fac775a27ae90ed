"""Own images: a folder or zip with one sub-folder per class, as a source of tasks."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from pathlib import Path, PurePath
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image

from metalab.data.archives import Limits, Log, read_one
from metalab.data.pool import PoolSource
from metalab.data.reading import CLASS_FOLDERS, decode, each_image
from metalab.errors import DataError
from metalab.storage import atomic_write, home
from metalab.tasks import Examples, Split, Task

FEWEST = 10
"""Classes from which meta-training on them makes sense."""
MAX_IMAGES = 100_000
MAX_BYTES = 100_000_000_000


def image_folder(
    path: Path | str,
    size: int = 32,
    channels: int = 1,
    test_only: bool = False,
    device: torch.device | str = "cpu",
) -> PoolSource:
    """Return own images as a source; classes are split 60/20/20 in alphabetical order.

    With ``test_only``, or fewer than ten classes, all are meta-test: adapt to them with a model trained on
    another source.
    Raises :class:`DataError` naming the file that is broken or too large, or what is missing.
    """
    classes = read_classes(path, size, channels)
    images = np.concatenate(list(classes.values()))
    labels = np.repeat(np.arange(len(classes)), [len(held) for held in classes.values()])
    x, y = torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)
    return folder_source(x, y, list(classes), test_only)


def folder_source(x: torch.Tensor, y: torch.Tensor, names: list[str], test_only: bool) -> PoolSource:
    """Return examples ``x`` (n, ...) of classes ``y`` (n,) as a source, split as by :func:`image_folder`."""
    groups = {split: {"all": ids} for split, ids in split_classes(len(names), test_only).items()}
    hint = (
        f"Meta-training on own images needs ten classes or more, found: {len(names)}. With fewer, adapt a "
        "trained model to them: the page Adapt, or the command 'adapt'"
    )
    return PoolSource("image-folder", x, y, names, groups, hint=hint)


def split_classes(number: int, test_only: bool = False) -> dict[Split, list[int]]:
    """Return classes 0..number-1 split 60/20/20; all meta-test where they are fewer than ten."""
    ids = list(range(number))
    if number < FEWEST or test_only:
        return {"test": ids}
    a, b = int(0.6 * number), int(0.8 * number)
    return {"train": ids[:a], "validation": ids[a:b], "test": ids[b:]}


def read_classes(path: Path | str | BinaryIO, size: int, channels: int) -> dict[str, np.ndarray]:
    """Return {class name: images (n, channels, size, size) float32 in 0..1}, classes in order of name.

    ``path`` is what :func:`metalab.data.reading.read_images` takes: a folder, a zip, a table. Raises
    :class:`DataError` for fewer than two classes, or a file that cannot be used.
    """
    found: dict[str, list[np.ndarray]] = {}
    for label, _, image in each_image(path, _limits(size), Log(strict=True)):
        found.setdefault(label, []).append(_fit(image, size, channels))
    if len(found) < 2:
        raise DataError(
            f"two class folders with images or more are needed, found: {len(found)}",
            where=path if isinstance(path, Path | str) else getattr(path, "name", "upload"),
            fix=CLASS_FOLDERS,
        )
    return {name: np.stack(found[name]) for name in sorted(found)}


def keep_upload(content: bytes, name: str = "images.zip") -> Path:
    """Keep an uploaded zip below metalab's home, in a folder named by its content, and return its path.

    Training reads it long after the page is gone. Of ``name`` only letters, digits, ``-`` and ``_`` are
    kept, and nothing is extracted. Raises :class:`DataError` when it is no zip, and :class:`StorageError`.
    """
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise DataError("not a zip", where="upload", fix="Zip a folder that has one sub-folder per class")
    return kept(content, name, ".zip")


def kept(content: bytes, name: str, ending: str) -> Path:
    """Keep ``content`` below metalab's home, in a folder named by it; of ``name`` only letters, digits, ``-``
    and ``_`` stay. Raises :class:`StorageError`."""
    stem = re.sub(r"[^\w-]+", "_", PurePath(name).stem)[:80] or "upload"
    path = home() / "uploads" / hashlib.sha256(content).hexdigest()[:16] / f"{stem}{ending}"
    if not path.is_file():
        atomic_write(path, content)
    return path


def own_task(
    classes: dict[str, np.ndarray], shot: int, query: int = 15, device: torch.device | str = "cpu"
) -> Task:
    """Form a task of all ``classes`` (see :func:`read_classes`): ``shot`` examples of each are support, up to
    ``query`` of the rest query. Raises :class:`DataError` for a class with fewer than shot + 1 images.
    """
    for name, images in classes.items():
        if len(images) <= shot:
            raise DataError(
                f"images of class {name!r}: {len(images)}, needed: {shot + 1} (shot, and one to judge by)",
                where="own images",
                fix="Add images, or lower the shot",
            )

    def examples(first: int, last: int) -> Examples:
        parts = [images[first:last] for images in classes.values()]
        labels = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        x = torch.from_numpy(np.concatenate(parts)).to(device)
        return Examples(x, torch.from_numpy(labels).to(device))

    return Task(examples(0, shot), examples(shot, shot + query), len(classes))


def read_file(path: Path | str, size: int, channels: int) -> np.ndarray:
    """Return :func:`read_image` of one file; raises :class:`DataError`."""
    content = read_one(Path(path), _limits(size).bytes_each)
    return read_image(content, str(path), size, channels)


def read_image(content: bytes, where: str, size: int, channels: int) -> np.ndarray:
    """Return one image (channels, size, size) float32 in 0..1; light-paper drawings become light ink on dark.

    Raises :class:`DataError` naming ``where``.
    """
    return _fit(decode(content, where, _limits(size)), size, channels)


def _limits(size: int) -> Limits:
    """Return what is accepted: images are made small one by one, so all of them may be many."""
    return Limits(files=MAX_IMAGES, bytes_all=MAX_BYTES, side=max(512, 4 * size))


def _fit(image: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Return (H, W, 3) uint8 as (channels, size, size) float32; see :func:`read_image`."""
    small = Image.fromarray(image).convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(small.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float32) / 255
    pixels = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return 1 - pixels if channels == 1 and np.median(pixels) > 0.5 else pixels
