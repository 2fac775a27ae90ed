"""Own recordings: a folder or zip with one sub-folder of sound files per word, as a source of tasks."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import torch

from metalab.data.archives import FolderTree, Limits, Log, Note, Tree, ZipTree
from metalab.data.folder import folder_source
from metalab.data.pool import PoolSource
from metalab.data.sounds import BYTES, ENDINGS, clipped, read_sound, word_picture
from metalab.errors import DataError

LIMITS = Limits(files=50_000, bytes_each=BYTES, bytes_all=20_000_000_000)
OVERDRIVEN = 0.01
"""Share of samples at the limit from which a recording deserves a look."""
FIX = "Make a folder for each word, with its recordings (WAV, FLAC, OGG, MP3) in it"


def recordings(
    path: Path | str, test_only: bool = False, leave_out: bool = True, device: torch.device | str = "cpu"
) -> PoolSource:
    """Return own recordings as a source; words are split 60/20/20 in alphabetical order, or are all meta-test
    with ``test_only`` or fewer than ten.

    With ``leave_out`` what cannot be read is left out; ``notes`` say so. Raises :class:`DataError`.
    """
    held, log = read_recordings(path, leave_out)
    x = torch.stack([picture for own in held.values() for picture in own]).to(device)
    y = torch.tensor([number for number, own in enumerate(held.values()) for _ in own], device=device)
    source = folder_source(x, y, list(held), test_only)
    source.name, source.notes = "recordings", log
    return source


def read_recordings(
    path: Path | str, leave_out: bool = True
) -> tuple[dict[str, list[torch.Tensor]], list[Note]]:
    """Return the pictures of each word's recordings, words in alphabetical order, and notes.

    Raises :class:`DataError` for fewer than two words.
    """
    held, notes = read_samples(Path(path), str(path), leave_out)
    return {word: [word_picture(samples) for samples in own] for word, own in held.items()}, notes


def read_samples(
    file: Path | BinaryIO, where: str, leave_out: bool = True
) -> tuple[dict[str, list[np.ndarray]], list[Note]]:
    """Return the samples of each word's recordings in a folder or a zip; else as :func:`read_recordings`."""
    log, held = Log(strict=not leave_out), {}
    tree = _tree(file, where, log)
    for name in sorted(tree.files):
        place = PurePosixPath(name)
        if place.suffix.lower() not in ENDINGS or not place.parent.name:
            continue
        try:
            samples = read_sound(tree.read(name), f"{where}: {name}")
        except DataError as error:
            log.bad(error)
            continue
        if clipped(samples) > OVERDRIVEN:
            log.note(f"{where}: {name}", "is overdriven: its loudest parts are cut off", "warning")
        held.setdefault(place.parent.name, []).append(samples)
    if len(held) < 2:
        raise DataError(f"two words or more are needed, found: {len(held)}", where=where, fix=FIX)
    return dict(sorted(held.items())), log.notes


def _tree(file: Path | BinaryIO, where: str, log: Log) -> Tree:
    if isinstance(file, Path):
        if file.is_dir():
            return FolderTree(file, LIMITS, log)
        if not file.is_file():
            raise DataError("there is no such file or folder", where=where, fix=FIX)
    return ZipTree(file, where, LIMITS, log)
