"""Omniglot (Lake, Salakhutdinov, Tenenbaum 2015) from its official zips or folders, never downloaded."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from metalab.data.pool import PoolSource
from metalab.errors import DataError
from metalab.tasks import Split


def omniglot(
    path: Path | str,
    size: int = 32,
    episodes: str = "within",
    rotations: bool = True,
    exclude: tuple[str, ...] = (),
    test_only: bool = False,
    device: torch.device | str = "cpu",
) -> PoolSource:
    """Return the drawings under ``path``: a zip, a folder of zips, or a folder of alphabets.

    Without ``test_only`` whole alphabets are split, in alphabetical order: the last fifth (at least one) is
    meta-test, the fifth before it meta-validation, the rest meta-train. ``exclude`` names alphabets to leave
    out. Raises :class:`DataError` when nothing usable is there.
    """
    path = Path(path)
    if not path.exists():
        raise DataError("there is no such file or folder", where=path, fix="Name the folder of Omniglot zips")
    drawings: dict[tuple[str, str], list[np.ndarray]] = {}
    for name, content in drawing_files(path):
        parts = PurePosixPath(name).parts
        if len(parts) >= 3 and parts[-3] not in exclude:
            drawings.setdefault((parts[-3], parts[-2]), []).append(_read(content, f"{path}: {name}", size))
    if not drawings:
        raise DataError(
            "no drawings found",
            where=path,
            fix="Expected alphabet/character/drawing.png, in folders or a zip",
        )
    keys = sorted(drawings)
    alphabets: dict[str, list[int]] = {}
    for number, (alphabet, _) in enumerate(keys):
        alphabets.setdefault(alphabet, []).append(number)
    images = np.stack([image for key in keys for image in drawings[key]])
    labels = np.repeat(np.arange(len(keys)), [len(drawings[key]) for key in keys])
    return PoolSource(
        "omniglot",
        torch.from_numpy(images).unsqueeze(1).to(device),
        torch.from_numpy(labels).to(device),
        [
            f"{alphabet.replace('_', ' ')} {character.removeprefix('character')}"
            for alphabet, character in keys
        ],
        {"test": alphabets} if test_only else _split(alphabets, path),
        episodes,
        rotations,
    )


def _split(alphabets: dict[str, list[int]], path: Path) -> dict[Split, dict[str, list[int]]]:
    names = sorted(alphabets)
    if len(names) < 3:
        raise DataError(
            f"three alphabets or more are needed, found: {len(names)}", where=path, fix="Give more alphabets"
        )
    fifth = max(1, len(names) // 5)
    parts = {"train": names[: -2 * fifth], "validation": names[-2 * fifth : -fifth], "test": names[-fifth:]}
    return {split: {name: alphabets[name] for name in held} for split, held in parts.items()}


def drawing_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of every drawing; the same character in two zips is met once."""
    seen: set[tuple[str, ...]] = set()
    archives = [path] if path.is_file() else sorted(path.glob("*.zip"))
    try:
        for archive in archives:
            with zipfile.ZipFile(archive) as file:
                for name in sorted(file.namelist()):
                    key = PurePosixPath(name).parts[-3:]
                    if name.endswith(".png") and not name.startswith("__MACOSX") and key not in seen:
                        seen.add(key)
                        yield name, file.read(name)
        if not archives:
            for image in sorted(path.rglob("*.png")):
                yield str(image.relative_to(path.parent)), image.read_bytes()
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"cannot be read ({error})", where=path, fix="Use the official Omniglot zips"
        ) from None


def _read(content: bytes, where: str, size: int) -> np.ndarray:
    """Return one drawing (size, size) float32, ink = 1."""
    try:
        image = Image.open(io.BytesIO(content)).convert("L").resize((size, size), Image.Resampling.BOX)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise DataError(f"not a readable image ({error})", where=where, fix="Replace or remove it") from None
    return 1 - np.asarray(image, dtype=np.float32) / 255
