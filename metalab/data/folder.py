"""Own images: a folder or zip with one sub-folder per class."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from metalab.data.pool import PoolSource
from metalab.errors import DataError
from metalab.storage import atomic_write, home
from metalab.tasks import Examples, Split, Task

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
MAX_PIXELS = 50_000_000
MAX_BYTES = 50_000_000
MAX_IMAGES = 100_000


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
    groups: dict[Split, dict[str, list[int]]] = {"test": {"all": list(range(len(names)))}}
    if len(names) >= 10 and not test_only:
        a, b = int(0.6 * len(names)), int(0.8 * len(names))
        ids = list(range(len(names)))
        groups = {"train": {"all": ids[:a]}, "validation": {"all": ids[a:b]}, "test": {"all": ids[b:]}}
    hint = (
        f"Meta-training on own images needs ten classes or more, found: {len(names)}. With fewer, adapt a "
        "trained model to them: the page Adapt, or the command 'adapt'"
    )
    return PoolSource("image-folder", x, y, names, groups, hint=hint)


def read_classes(path: Path | str | BinaryIO, size: int, channels: int) -> dict[str, np.ndarray]:
    """Return {class name: images (n, channels, size, size) float32 in 0..1}, classes in order of name.

    ``path`` is a folder, a zip, or an open zip (an upload). Raises :class:`DataError` for fewer than two
    classes, or a file that cannot be used.
    """
    if isinstance(path, Path | str):
        path = where = Path(path)
        if not path.exists():
            raise DataError("there is no such file or folder", where=path, fix="Check the path")
    else:
        where = Path(getattr(path, "name", "upload"))
    found: dict[str, list[np.ndarray]] = {}
    for number, (name, content) in enumerate(_files(path, where)):
        if number >= MAX_IMAGES:
            raise DataError(f"more than {MAX_IMAGES} images", where=where, fix="Use fewer")
        found.setdefault(PurePosixPath(name).parts[-2], []).append(
            read_image(content, f"{where}: {name}", size, channels)
        )
    if len(found) < 2:
        raise DataError(
            f"two class folders with images or more are needed, found: {len(found)}",
            where=where,
            fix="Put each class's images into a sub-folder of its own",
        )
    return {name: np.stack(found[name]) for name in sorted(found)}


def keep_upload(content: bytes, name: str = "images.zip") -> Path:
    """Keep an uploaded zip below metalab's home, in a folder named by its content, and return its path.

    Training reads it long after the page is gone. Of ``name`` only letters, digits, ``-`` and ``_`` are
    kept, and nothing is extracted. Raises :class:`DataError` when it is no zip, and :class:`StorageError`.
    """
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise DataError("not a zip", where="upload", fix="Zip a folder that has one sub-folder per class")
    stem = re.sub(r"[^\w-]+", "_", PurePath(name).stem)[:80] or "images"
    path = home() / "uploads" / hashlib.sha256(content).hexdigest()[:16] / f"{stem}.zip"
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
    path = Path(path)
    if not path.is_file():
        raise DataError("there is no such image", where=path, fix="Check the path")
    _check_size(path.stat().st_size, str(path))
    return read_image(path.read_bytes(), str(path), size, channels)


def read_image(content: bytes, where: str, size: int, channels: int) -> np.ndarray:
    """Return one image (channels, size, size) float32 in 0..1; light-paper drawings become light ink on dark.

    Raises :class:`DataError` naming ``where``.
    """
    try:
        image = Image.open(io.BytesIO(content))
        if image.width * image.height > MAX_PIXELS:
            raise DataError(
                f"{image.width}×{image.height} pixels, at most {MAX_PIXELS / 1e6:.0f} million", where=where
            )
        image = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError) as error:
        raise DataError(
            f"not a readable image ({type(error).__name__})", where=where, fix="Replace or remove it"
        ) from None
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float32) / 255
    pixels = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return 1 - pixels if channels == 1 and np.median(pixels) > 0.5 else pixels


def _files(path: Path | BinaryIO, where: Path) -> Iterator[tuple[str, bytes]]:
    """Yield class/image names and contents; nothing is ever extracted to disk."""
    try:
        if isinstance(path, Path) and path.is_dir():
            for file in sorted(path.glob("*/*")):
                if _is_image(file) and file.is_file():
                    _check_size(file.stat().st_size, str(file))
                    yield str(file.relative_to(path)), file.read_bytes()
            return
        with zipfile.ZipFile(path) as archive:
            for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
                name = PurePosixPath(entry.filename)
                if _is_image(name) and len(name.parts) >= 2 and name.parts[0] != "__MACOSX":
                    _check_size(entry.file_size, f"{where}: {name}")
                    yield str(name), archive.read(entry)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise DataError(
            f"cannot be read ({error})", where=where, fix="Give a folder or an ordinary zip"
        ) from None


def _is_image(path: PurePath) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")  # "._x.png": macOS' own notes


def _check_size(size: int, where: str) -> None:
    if size > MAX_BYTES:
        raise DataError(f"{size / 1e6:.0f} MB, at most {MAX_BYTES / 1e6:.0f}", where=where, fix="Shrink it")
