"""Lake's one-shot runs: reading them from a folder or zip, and building comparable ones from Omniglot.

A run is 20-way 1-shot within one alphabet: ``training/`` holds 20 drawings by one drawer, ``test/`` the same
20 characters by another (Lake, Salakhutdinov, Tenenbaum 2015). ``class_labels.txt`` pairs them, one line a
test drawing: ``run01/test/item01.png run01/training/class05.png``. Nothing is ever extracted to disk.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

from metalab.data.omniglot import drawing_files
from metalab.errors import DataError, StorageError
from metalab.storage import atomic_write

SIDE = 105
"""Side of an Omniglot drawing, in pixels; others are resized to it."""
WAY = 20
LABELS = "class_labels.txt"
MAX_BYTES = 5_000_000
"""Largest file that is read: an official drawing has less than 1 kB."""
MAX_FILES = 200_000
FIX = "Give the folder or zip of the runs: run01/training/*.png, run01/test/*.png, run01/class_labels.txt"


@dataclass(frozen=True)
class LakeRun:
    """One run. ``training`` (n, 105, 105) and ``test`` (m, 105, 105) bool, ink = True; ``truth`` (m,) is the
    row of ``training`` that each test drawing belongs to."""

    name: str
    training: np.ndarray
    test: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Character:
    """One character of Omniglot: ``drawings`` maps the drawer's number to the PNG file's content."""

    alphabet: str
    name: str
    drawings: dict[int, bytes]


def read_runs(path: Path | str) -> list[LakeRun]:
    """Return all runs below ``path``, a folder or zip, in order of name.

    The runs may lie in a folder of any depth (``all_runs/run01``). Raises :class:`DataError` naming the file
    that is missing or broken, or says what was expected if there are no runs at all.
    """
    path = Path(path)
    if not path.exists():
        raise DataError("there is no such file or folder", where=path, fix=FIX)
    try:
        if path.is_dir():
            names = {
                str(PurePosixPath(file.relative_to(path))): file
                for file in path.rglob("*")
                if _wanted(PurePosixPath(file.relative_to(path))) and file.is_file()
            }
            return _runs(path, names, lambda name: _bounded(names[name], path, name))
        with zipfile.ZipFile(path) as archive:
            entries = {
                entry.filename.replace("\\", "/"): entry
                for entry in archive.infolist()
                if not entry.is_dir() and _wanted(PurePosixPath(entry.filename.replace("\\", "/")))
            }

            def read(name: str) -> bytes:
                _check_size(entries[name].file_size, f"{path}: {name}")
                return archive.read(entries[name])

            return _runs(path, entries, read)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise DataError(f"cannot be read ({error})", where=path, fix=FIX) from None
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", where=path, fix=FIX) from None


def _wanted(path: PurePosixPath) -> bool:
    """Say whether the file matters; macOS adds ``__MACOSX`` folders, ``._x.png`` and ``.DS_Store``."""
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and (path.name == LABELS or path.suffix.lower() == ".png")


def _bounded(file: Path, root: Path, name: str) -> bytes:
    _check_size(file.stat().st_size, f"{root}: {name}")
    return file.read_bytes()


def _check_size(size: int, where: str) -> None:
    if size > MAX_BYTES:
        raise DataError(f"{size / 1e6:.0f} MB, at most {MAX_BYTES / 1e6:.0f}", where=where, fix=FIX)


def _runs(root: Path, names: Iterable[str], read) -> list[LakeRun]:
    """Return the runs among the files ``names``; ``read`` gives a file's content."""
    known = {PurePosixPath(name): name for name in names}
    if len(known) > MAX_FILES:
        raise DataError(f"more than {MAX_FILES} files", where=root, fix=FIX)
    runs: dict[PurePosixPath, dict[PurePosixPath, str]] = {}
    for path, name in known.items():
        if path.name == LABELS:
            runs.setdefault(path.parent, {})[path] = name
        elif path.parent.name in ("training", "test"):
            runs.setdefault(path.parent.parent, {})[path] = name
    if not runs:
        raise DataError("no runs found", where=root, fix=FIX)
    return [_run(root, folder, runs[folder], read) for folder in sorted(runs)]


def _run(root: Path, folder: PurePosixPath, known: dict[PurePosixPath, str], read) -> LakeRun:
    def where(path: PurePosixPath) -> str:
        return f"{root}: {path}" if str(path) != "." else str(root)

    labels = folder / LABELS
    if labels not in known:
        raise DataError(f"{LABELS} is missing", where=where(folder), fix=FIX)
    training = sorted(p for p in known if p.parent == folder / "training" and p.name != LABELS)
    test = sorted(p for p in known if p.parent == folder / "test" and p.name != LABELS)
    for part, files in (("training", training), ("test", test)):
        if len(files) < (2 if part == "training" else 1):
            raise DataError(f"drawings in {part}: {len(files)}", where=where(folder), fix=FIX)
    answers: dict[PurePosixPath, PurePosixPath] = {}
    text = read(known[labels]).decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.replace("\\", "/").split()
        if not words:
            continue
        # Paths are relative to the folder of runs; only "test/x.png training/y.png" is used, so that a
        # renamed run stays readable.
        ends = [folder / PurePosixPath(word).parent.name / PurePosixPath(word).name for word in words]
        places = [end.parent.name for end in ends]
        if places != ["test", "training"]:
            raise DataError(
                f"line {number} is {line[:80]!r}",
                where=where(labels),
                fix="Each line names two drawings: run01/test/item01.png run01/training/class01.png",
            )
        for end in ends:
            if end not in known:
                raise DataError(f"line {number} names a drawing that is missing", where=where(end), fix=FIX)
        answers[ends[0]] = ends[1]
    for file in test:
        if file not in answers:
            raise DataError("has no line in class_labels.txt", where=where(file), fix=FIX)

    def stack(files: list[PurePosixPath]) -> np.ndarray:
        return np.stack([read_ink(read(known[file]), where(file)) for file in files])

    truth = np.array([training.index(answers[file]) for file in test])
    return LakeRun(str(folder) if str(folder) != "." else root.stem, stack(training), stack(test), truth)


def read_ink(content: bytes, where: str) -> np.ndarray:
    """Return one drawing (105, 105) bool, ink = True, of dark ink on light paper or light on dark.

    Raises :class:`DataError` naming ``where`` if it is not an image, or blank.
    """
    try:
        image = Image.open(io.BytesIO(content))
        if image.width * image.height > 4_000_000:
            raise DataError(f"{image.width}×{image.height} pixels, at most 4 million", where=where, fix=FIX)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            rgba = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        image = image.convert("L")
        if image.size != (SIDE, SIDE):
            image = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    except (
        UnidentifiedImageError,
        OSError,
        Image.DecompressionBombError,
        SyntaxError,
        ValueError,
        EOFError,
    ) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"not a readable image ({type(error).__name__})", where=where, fix="Replace it"
        ) from None
    light = np.asarray(image) > 127
    ink = light if light.mean() < 0.5 else ~light
    if not ink.any():
        raise DataError("the drawing is blank", where=where, fix="Replace it")
    return ink


def characters(path: Path | str, exclude: tuple[str, ...] = ()) -> list[Character]:
    """Return the characters of the Omniglot zip, folder of zips or folder ``path``, in order of name.

    Raises :class:`DataError` when nothing usable is there, or an excluded alphabet does not exist.
    """
    path = Path(path)
    if not path.exists():
        raise DataError("there is no such file or folder", where=path, fix="Name an Omniglot zip or folder")
    found: dict[tuple[str, str], dict[int, bytes]] = {}
    for name, content in drawing_files(path):
        parts = PurePosixPath(name).parts
        drawer = PurePosixPath(name).stem.rpartition("_")[2]
        if len(parts) >= 3 and drawer.isdigit():
            found.setdefault(parts[-3:-1], {})[int(drawer)] = content
    if not found:
        raise DataError(
            "no drawings found",
            where=path,
            fix="Expected alphabet/character/NNNN_DD.png",
        )
    unknown = set(exclude) - {alphabet for alphabet, _ in found}
    if unknown:
        raise DataError(
            f"has no alphabet {sorted(unknown)[0]!r}",
            where=path,
            fix=f"It has {', '.join(sorted({alphabet for alphabet, _ in found}))}",
        )
    return [Character(*key, found[key]) for key in sorted(found) if key[0] not in exclude]


def build_runs(
    path: Path | str, out: Path | str, exclude: tuple[str, ...] = (), runs: int = 20, seed: int = 1
) -> Iterator[str]:
    """Write ``runs`` runs, drawn with ``seed``, below ``out`` in the official layout; yield a line for each.

    A run is 20 random characters of one alphabet, by two random drawers; the alphabets take turns. An
    alphabet with fewer than 20 characters gives none, and a line says so. Raises :class:`DataError` and
    :class:`StorageError`; an existing ``out`` must be empty.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError("exists and is not an empty folder", where=out, fix="Name a new folder")
    alphabets: dict[str, list[Character]] = {}
    for character in characters(path, exclude):
        alphabets.setdefault(character.alphabet, []).append(character)
    for name in [name for name, held in alphabets.items() if len(held) < WAY]:
        yield f"{name}: {len(alphabets.pop(name))} characters, a run needs {WAY}: left out"
    if not alphabets:
        raise DataError(f"no alphabet has {WAY} characters", where=path, fix="Name other data")
    generator = np.random.default_rng(seed)
    digits = max(2, len(str(runs)))
    for number in range(1, runs + 1):
        alphabet = list(alphabets)[(number - 1) % len(alphabets)]
        held = alphabets[alphabet]
        chosen = [held[i] for i in generator.permutation(len(held))[:WAY]]
        common = sorted(set.intersection(*(set(one.drawings) for one in chosen)))
        if len(common) < 2:
            raise DataError(f"{alphabet}: no two drawers drew every character", where=path)
        first, second = (common[i] for i in generator.permutation(len(common))[:2])
        name, order, lines = f"run{number:0{digits}d}", generator.permutation(WAY), []
        for i, character in enumerate(chosen):
            atomic_write(out / name / "training" / f"class{i + 1:02d}.png", character.drawings[first])
        for i, k in enumerate(order):
            atomic_write(out / name / "test" / f"item{i + 1:02d}.png", chosen[k].drawings[second])
            lines.append(f"{name}/test/item{i + 1:02d}.png {name}/training/class{k + 1:02d}.png")
        atomic_write(out / name / LABELS, ("\n".join(lines) + "\n").encode())
        yield f"{name}: {alphabet}, training by drawer {first}, test by drawer {second}"
