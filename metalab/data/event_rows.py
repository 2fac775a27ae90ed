"""A few rows of events, of one user or one campaign: to adapt to, or to predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metalab.data.events_in import ANYONE, FALSE, FIELDS, TRUE, WORDS, Kind
from metalab.data.events_table import Table, read_table, table_of
from metalab.data.rows import columns_of
from metalab.errors import DataError, FaultyDataError


@dataclass(frozen=True, eq=False)
class EventRows:
    """``names`` of what is met and ``outcomes`` (None if the table has none), with all cells of the rows."""

    names: list[str]
    outcomes: list[float] | None
    rows: pd.DataFrame
    where: str
    numbers: tuple[int, ...]
    """Of the rows in the file, its header being 1."""

    def at(self, number: int) -> str:
        """Say where the row of place ``number`` stands in the file."""
        return f"{self.where}, row {self.numbers[number]}"


def read_rows(source: Path | bytes, kind: Kind, name: str = "", outcomes: bool = True) -> EventRows:
    """Read rows with the columns that :func:`metalab.data.events_in.read_events` knows, but of one task.

    ``source`` is a path, or the content of a file called ``name``. With ``outcomes`` a rating, or clicked,
    must be there. Raises :class:`DataError`, and :class:`FaultyDataError` with every row that is faulty.
    """
    table: Table = table_of(source, name) if isinstance(source, bytes) else read_table(source)
    where = name or str(source)
    frame, words = table.frame, WORDS[kind]
    needed = (["item"] if kind == "ratings" else []) + (["rating"] if outcomes else [])
    fields = {words[field]: FIELDS[kind][field] for field in ("item", "rating")}
    at = columns_of(list(frame.columns), where, fields, [words[field] for field in needed])
    faults = [f"row {number}: {what}" for number, what in table.broken]
    names = [ANYONE] * len(frame)
    if words["item"] in at:
        names = frame.iloc[:, at[words["item"]]].str.strip().tolist()
    values: list[float] | None = None
    if words["rating"] in at:
        values = []
        for number, cell in zip(table.numbers.tolist(), frame.iloc[:, at[words["rating"]]], strict=True):
            value = _number(cell.strip(), kind)
            if value is None:
                faults.append(f"row {number}, {words['rating']}: {cell!r} is no {words['rating']}")
            values.append(value or 0.0)
    faults += [
        f"row {number}: no {words['item']}"
        for number, one in zip(table.numbers.tolist(), names, strict=True)
        if not one
    ]
    if faults:
        raise FaultyDataError(faults, where=where, fix="Mend these rows, or delete them")
    if not names:
        raise DataError("holds no rows", where=where, fix="Give one or more")
    numbers = tuple(table.numbers.tolist())
    return EventRows(names, values, frame.reset_index(drop=True), where, numbers)


def _number(cell: str, kind: Kind) -> float | None:
    if kind == "clicks":
        lower = cell.lower()
        return 1.0 if lower in TRUE else 0.0 if lower in FALSE - {""} else None
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
