"""Rows of text tables from outside: decoding, CSV as spreadsheets write it, JSON and JSON lines."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from metalab.data.archives import Note
from metalab.errors import DataError

Row = tuple[str, Mapping[str, Any]]
"""The words that say where it stands, and its values by column."""
MARKS = ",;\t"
"""What may separate the cells of a CSV."""
HEAD = 10_000
"""Characters in which its first row is looked for, to find the mark."""


def decoded(content: bytes, name: str) -> str:
    """Return a file's text: UTF-8 or, where its first bytes say so, UTF-16. Raises :class:`DataError`."""
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        form = "UTF-16" if wide else "UTF-8"
        raise DataError(
            f"is not {form} (byte {error.start}, line {line})", where=name, fix="Save it as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"holds a zero byte in line {line}: no text", where=name, fix="Save it as UTF-8")
    return text


def plain_lines(text: str) -> str:
    """Return ``text`` with line ends of any system as one character, so that places agree."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def csv_cells(text: str, name: str, known: Collection[str] = ()) -> Iterator[tuple[int, list[str]]]:
    """Yield the line, from 1 on, in which a row begins, and its cells; rows without any text are left out.

    Cells are separated by what Excel's first line ``sep=`` says, else by the mark that cuts most names of
    ``known``, then most columns, out of the first row. Raises :class:`DataError` for a text that is no CSV,
    as one with a quotation mark that never closes.
    """
    first, _, rest = text.lstrip().partition("\n")
    skipped = text.count("\n", 0, len(text) - len(rest)) if first.strip().lower().startswith("sep=") else 0
    mark = first.strip()[4:5] or None if skipped else None
    if skipped:
        text = rest
    head, begin = next(filter(str.strip, plain_lines(text[:HEAD]).split("\n")), ""), 1
    try:
        mark = mark or max(MARKS, key=lambda mark: _rank(head, mark, known))
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begin + skipped, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"not a readable CSV ({error})",
            where=f"{name}, the row from line {begin + skipped} on",
            fix="Mend its quotation marks, or give .jsonl",
        ) from None


def _rank(line: str, mark: str, known: Collection[str]) -> tuple[int, int]:
    cells = [plain_name(cell) for cell in next(csv.reader([line], delimiter=mark), [])]
    return sum(cell in known for cell in cells), len(cells)


def plain_name(column: object) -> str:
    """Return a column's name as it is compared: "Source Text" and "source-text" are "source_text"."""
    return "_".join(str(column).strip().lower().replace("-", " ").replace("_", " ").split())


def csv_rows(
    text: str, name: str, fields: Mapping[str, Sequence[str]], needed: Sequence[str]
) -> Iterator[Row]:
    """Yield the rows of a CSV by field; ``fields`` maps each to the names that its column may have.

    Raises :class:`DataError` where a column of ``needed`` is missing, and as :func:`csv_cells`.
    """
    cells = csv_cells(text, name, {one for names in fields.values() for one in names})
    columns = [column.strip() for column in next(cells, (1, []))[1]]
    places = columns_of(columns, name, fields, needed)
    for line, row in cells:
        yield (
            f"{name}, line {line}",
            {field: row[at] if at < len(row) else None for field, at in places.items()},
        )


def columns_of(
    columns: Sequence[str], name: str, fields: Mapping[str, Sequence[str]], needed: Sequence[str]
) -> dict[str, int]:
    """Return the place of each field among ``columns``. Raises :class:`DataError` if one of ``needed`` lacks.

    Of several columns that suit a field the one is taken whose name comes first in ``fields``.
    """
    plain = [plain_name(column) for column in columns]
    places = {
        field: plain.index(found)
        for field, names in fields.items()
        if (found := next((one for one in names if one in plain), None)) is not None
    }
    for field in needed:
        if field not in places:
            left = [column for at, column in enumerate(columns) if at not in places.values() and column]
            raise DataError(
                f"has no column {field}; there are {', '.join(columns)[:300] or 'none'}",
                where=name,
                fix=_rename(field, fields[field], left),
            )
    return places


def _rename(field: str, names: Sequence[str], left: Sequence[str]) -> str:
    """Return what to do about a missing column, given those that are left over."""
    for column in left:
        if near := difflib.get_close_matches(plain_name(column), names, 1, 0.75):
            return f"Rename {column} to {near[0]}"
    if len(left) == 1:
        return f"If it is {left[0]}, rename that to {field}"
    return f"Name one {' or '.join(names[:4])}"


def by_field(row: Mapping[str, Any], fields: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return ``row`` by field, None where it has none; ``fields`` as in :func:`csv_rows`."""
    plain = {plain_name(key): value for key, value in row.items() if value is not None}
    return {
        field: next((plain[name] for name in names if name in plain), None) for field, names in fields.items()
    }


def json_lines(text: str, name: str, notes: list[Note]) -> Iterator[Row]:
    """Yield the rows of JSON lines; a line that is none goes to ``notes``."""
    for number, line in enumerate(
        text.split("\n"), 1
    ):  # JSON may hold other line ends, as U+2028, as they are
        if line.strip():
            where = f"{name}, line {number}"
            try:
                yield where, mapping(parsed_json(line, where))
            except DataError as error:
                notes.append(Note(where, error.what, "skipped"))


def mapping(held: Any) -> Mapping[str, Any]:
    """Return ``held`` if it is a mapping, else an empty one."""
    return held if isinstance(held, Mapping) else {}


def parsed_json(text: str, where: str) -> Any:
    """Return what a JSON text holds. Raises :class:`DataError`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is no JSON ({error})", where=where) from None
