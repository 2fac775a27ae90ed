"""Tables of image paths and labels: CSV as spreadsheets write it, and JSON lines."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from metalab.data.archives import Log, Tree, is_image
from metalab.data.rows import csv_cells
from metalab.errors import DataError

PATHS = ("path", "file", "file_name", "filename", "image")
LABELS = ("label", "class", "category")
COLUMNS = f"Name them for example {PATHS[0]} and {LABELS[0]}"


class Row(NamedTuple):
    """One line: the path as written, its label, and the line's number."""

    path: str
    label: str
    line: int


def is_table(name: str) -> bool:
    """Say whether ``name`` ends like a table that can be read."""
    return PurePosixPath(name).suffix.lower() in (".csv", ".jsonl")


def read_table(content: bytes, where: str, log: Log) -> list[Row]:
    """Return the rows of a CSV or, by the ending of ``where``, of JSON lines.

    Raises :class:`DataError` when the columns are missing; a line that cannot be used is noted.
    """
    text = _text(content, where, log)
    if where.lower().endswith(".jsonl"):
        return list(_json_rows(text, where, log))
    return list(_csv_rows(text, where, log))


def resolve(
    rows: list[Row], tree: Tree, folder: str, where: str
) -> tuple[list[tuple[str, str]], list[DataError]]:
    """Return (label, file name in ``tree``) of each row, and the errors of rows that name no file.

    Paths count from ``folder``, the table's own, and may not lead out of it. Raises :class:`DataError` for
    more rows than could be looked up.
    """
    if len(rows) > 10 * tree.limits.files:
        raise DataError(f"{len(rows)} rows, at most {10 * tree.limits.files}", where=where, fix="Use fewer")
    found: dict[tuple[str, str], None] = {}
    errors: list[DataError] = []
    for row in rows:
        at = f"{where}, line {row.line}"
        path = posixpath.normpath(row.path.replace("\\", "/"))
        if path.startswith(("/", "../")) or path == ".." or path[1:2] == ":":
            fix = "Give paths relative to the table"
            errors.append(
                DataError(f"the path {row.path!r} leads out of the table's folder", where=at, fix=fix)
            )
            continue
        try:
            name = tree.find(posixpath.join(folder, path))
        except DataError as error:
            errors.append(error)
            continue
        if name is None:
            errors.append(DataError(f"there is no file {row.path!r}", where=at))
        elif (row.label, name) in found:
            errors.append(DataError(f"{row.path!r} is listed twice as {row.label!r}", where=at))
        else:
            found[row.label, name] = None
    return list(found), errors


def _text(content: bytes, where: str, log: Log) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        log.note(where, "not UTF-8: read as Latin-1, check the letters with accents", "warning")
        return content.decode("latin-1")


def _csv_rows(text: str, where: str, log: Log) -> Iterator[Row]:
    lines = csv_cells(text, where, {*PATHS, *LABELS})
    at, header = next(lines, (1, []))
    names = [cell.strip() for cell in header]
    path, label = _columns(names, where)
    if is_image(names[path]):  # no header: its first line is a row already
        log.note(where, "no header: the first two columns are read as path and label", "warning")
        yield Row(names[path], names[label], at)
    for at, cells in lines:
        held = [cells[i].strip() if i < len(cells) else "" for i in (path, label)]
        if all(held):
            yield Row(held[0], held[1], at)
        else:
            log.bad(DataError(f"no {'label' if held[0] else 'path'}", where=f"{where}, line {at}"))


def _columns(names: list[str], where: str) -> tuple[int, int]:
    lower = [name.lower() for name in names]
    path = next((lower.index(name) for name in PATHS if name in lower), None)
    label = next((lower.index(name) for name in LABELS if name in lower), None)
    if path is not None and label is not None:
        return path, label
    if len(names) == 2:  # one usual name says what the other is
        return (0, 1) if path == 0 or label == 1 or path is label is None else (1, 0)
    missing = "path" if path is None else "label"
    found = ", ".join(names[:20])[:300] or "none"
    raise DataError(f"no column for the {missing}; columns found: {found}", where=where, fix=COLUMNS)


def _json_rows(text: str, where: str, log: Log) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        at = f"{where}, line {number}"
        try:
            held = json.loads(line)
        except (ValueError, RecursionError):
            log.bad(DataError("not a line of JSON", where=at))
            continue
        if not isinstance(held, dict):
            log.bad(DataError("not an object of names and values", where=at))
            continue
        lower = {name.lower(): value for name, value in held.items()}
        path = next((lower[name] for name in PATHS if name in lower), None)
        label = next((lower[name] for name in LABELS if name in lower), None)
        if path is None or label is None:
            raise DataError(
                f"no {'path' if path is None else 'label'}; names found: {', '.join(lower)[:300] or 'none'}",
                where=at,
                fix=COLUMNS,
            )
        if not isinstance(path, str) or not path.strip() or not str(label).strip():
            log.bad(DataError("no path or no label", where=at))
            continue
        yield Row(path.strip(), str(label).strip(), number)
