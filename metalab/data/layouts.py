"""Which class each image of a folder or zip belongs to: by class folders, or by tables beside the images."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath

from metalab.data.archives import Log, Note, Tree, is_image, printable
from metalab.data.tables import is_table, read_table, resolve
from metalab.errors import DataError

SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}


def image_files(tree: Tree, log: Log) -> list[tuple[str, str]]:
    """Return (label, file name) of each image: by tables where there are usable ones, else by folders.

    What is left out is noted. Raises :class:`DataError` when the only hint at classes is an unusable table.
    """
    images = [name for name in tree.files if is_image(name)]
    folders = {posixpath.dirname(name) for name in images}
    common = posixpath.commonpath(folders) if folders and "" not in folders else ""
    base = posixpath.dirname(common) if folders == {common} else common
    by_folder, notes = _by_folder(images, base, folders)
    found, problem = _by_table(tree, images, base, common, log)
    if not found:
        if problem and len({label for label, _ in by_folder}) < 2:
            raise problem
        if problem:
            log.note(problem.where or "", f"not used: {problem.what}", "skipped")
        for what, action in notes:
            log.notes.append(Note(tree.where, what, action))
        found = by_folder
        _note_empty(tree, images, base, log)
    others = [name for name in tree.files if not is_image(name) and not is_table(name)]
    zips = [name for name in others if name.lower().endswith((".zip", ".tar", ".gz", ".7z", ".rar"))]
    for name in zips[:20]:
        log.note(f"{tree.where}: {printable(name)}", "an archive within is not opened", "skipped")
    if rest := len(others) - len(zips):
        endings = sorted({PurePosixPath(name).suffix.lower() or "none" for name in others})[:8]
        what = f"{_files(rest)} without the ending of an image (endings: {printable(', '.join(endings))})"
        log.note(tree.where, what, "skipped")
    return found


def _by_folder(
    images: list[str], base: str, folders: set[str]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return (label, file name) of each image below ``base``, and (words, action) to note."""
    below = [PurePosixPath(name).relative_to(base) if base else PurePosixPath(name) for name in images]
    tops = {path.parts[0].lower() for path in below if len(path.parts) > 1}
    # A class may well be called "train": splits are only assumed where class folders follow.
    split = bool(tops) and tops <= SPLITS and all(len(path.parts) != 2 for path in below)
    found: list[tuple[str, str]] = []
    sources: dict[str, set[str]] = {}
    loose = 0
    for name, path in zip(images, below, strict=True):
        inner = path.parts[split:-1]
        if not inner:
            loose += 1
            continue
        start = path.parts[:split]
        # The outermost folder that holds images is the class: what lies deeper belongs to it.
        depth = next(
            n
            for n in range(1, len(inner) + 1)
            if n == len(inner) or posixpath.join(base, *start, *inner[:n]) in folders
        )
        found.append((inner[depth - 1], name))
        sources.setdefault(inner[depth - 1], set()).add("/".join(inner[:depth]))
    notes = []
    if split and len(tops) > 1:
        notes.append((f"the parts {', '.join(sorted(tops))} are merged", "warning"))
    if loose:
        notes.append((f"{_files(loose)} in no class folder", "skipped"))
    for label, paths in sources.items():
        if len(paths) > 1:
            named = printable(", ".join(sorted(paths)[:5]))
            notes.append(
                (f"folders of the same name are merged into one class {label!r}: {named}", "warning")
            )
    return found, notes


def _by_table(
    tree: Tree, images: list[str], base: str, common: str, log: Log
) -> tuple[list[tuple[str, str]], DataError | None]:
    """Return (label, file name) by the tables beside the images, and what is wrong with an unusable one."""
    found: list[tuple[str, str]] = []
    problem: DataError | None = None
    for name in tree.files:
        folder = posixpath.dirname(name)
        above = not folder or common == folder or common.startswith(f"{folder}/")
        part = posixpath.dirname(folder) == base and posixpath.basename(folder).lower() in SPLITS
        if not is_table(name) or not (above or part):
            continue
        at = f"{tree.where}: {printable(name)}"
        quiet = Log(log.strict)  # whether the table counts at all is known only after reading it
        try:
            rows, errors = resolve(read_table(tree.read(name), at, quiet), tree, folder, at)
        except DataError as error:
            problem = problem or error
            continue
        if not rows:
            words = f"no row names an image{f' ({errors[0].what})' if errors else ''}"
            problem = problem or DataError(words, where=at)
            continue
        found += rows
        log.notes += quiet.notes
        for error in errors:
            log.bad(error)
    if found:
        listed = {name for _, name in found}
        if rest := sum(name not in listed for name in images):
            log.note(tree.where, f"{_files(rest)} in no table", "skipped")
        if problem:
            log.note(problem.where or "", f"not used: {problem.what}", "skipped")
    return found, problem


def _note_empty(tree: Tree, images: list[str], base: str, log: Log) -> None:
    holding = {str(parent) for name in images for parent in PurePosixPath(name).parents} | {base or "."}
    for folder in tree.folders:
        if folder not in holding and (posixpath.dirname(folder) or ".") in holding:
            log.note(f"{tree.where}: {printable(folder)}", "a folder without images", "skipped")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
