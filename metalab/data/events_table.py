"""Big tables of text: a CSV or a Parquet file as columns of strings, with the rows that do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metalab.data.folder import kept
from metalab.data.rows import MARKS, decoded
from metalab.errors import DataError

LARGEST = 2_000_000_000
"""Bytes of a file, at most."""
PARQUET = b"PAR1"


@dataclass(frozen=True, eq=False)
class Table:
    """``frame`` of strings ("" where nothing stands), the ``numbers`` of its rows in the file, from 1 on with
    the header, and the numbers and reasons of rows that are ``broken``."""

    frame: pd.DataFrame
    numbers: NDArray[np.int64]
    broken: list[tuple[int, str]]
    notes: list[str] = field(default_factory=list)


def read_table(path: Path, headless: Sequence[str] = ()) -> Table:
    """Read the table in ``path``; ``headless`` are the columns of a layout that comes without a header.

    Raises :class:`DataError`.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("there is no such file", where=path, fix="Check the path")
    if path.stat().st_size > LARGEST:
        raise DataError(f"is larger than {LARGEST // 10**9} GB", where=path, fix="Bring a part of it")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error})", where=path) from None
    if content[:4] == PARQUET:
        return _parquet(path)
    return table_of(content, str(path), headless)


def table_of(content: bytes, name: str, headless: Sequence[str] = ()) -> Table:
    """Return the table in the ``content`` of a CSV called ``name``. Raises :class:`DataError`."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        content = decoded(content, name).encode()
    if not content.strip():
        raise DataError("is empty", where=name, fix="Bring a table with a header and rows")
    return _csv(content, name, headless)


def keep_table(content: bytes, name: str) -> Path:
    """Keep an uploaded table below metalab's home and return its path: training reads it later.

    Raises :class:`DataError` for what is no table, and :class:`StorageError`.
    """
    ending = Path(name).suffix.lower()
    if not content.startswith(PARQUET):
        table_of(content, name)
    return kept(content, name, ending if ending in (".csv", ".tsv", ".parquet") else ".csv")


def _csv(content: bytes, path: str, headless: Sequence[str]) -> Table:
    from pyarrow import ArrowException, BufferReader, csv, string

    head = content[: content.find(b"\n") if b"\n" in content else None].decode("utf-8", "replace")
    mark = max(MARKS, key=head.count)
    broken: list[tuple[int, str]] = []

    def odd(row: csv.InvalidRow) -> str:
        what = f"{row.actual_columns} cells, {row.expected_columns} are needed"
        broken.append((row.number or 0, what))
        return "skip"

    bare = (
        bool(headless) and head.count(mark) + 1 == len(headless) and head.split(mark)[0].strip() in ("0", "1")
    )
    names = list(headless) if bare else [cell.strip().strip('"') for cell in head.strip().split(mark)]
    options = {
        "read_options": csv.ReadOptions(use_threads=False, column_names=names, skip_rows=0 if bare else 1),
        "parse_options": csv.ParseOptions(delimiter=mark, invalid_row_handler=odd, newlines_in_values=True),
        "convert_options": csv.ConvertOptions(
            column_types={name: string() for name in names}, strings_can_be_null=False
        ),
    }
    if len(set(names)) < len(names):
        raise DataError("two columns have the same name", where=path, fix="Rename one of them")
    try:
        table = csv.read_csv(BufferReader(content), **options)
    except ArrowException as error:
        decoded(content, path)  # says where it is no UTF-8
        raise DataError(f"is no readable CSV ({error})", where=path) from None
    frame = table.to_pandas(self_destruct=True)
    first = 1 if bare else 2
    everyone = np.arange(first, first + len(frame) + len(broken))
    numbers = np.setdiff1d(everyone, np.array([number for number, _ in broken], dtype=np.int64))
    return Table(frame, numbers[: len(frame)], broken)


def _parquet(path: Path) -> Table:
    from pyarrow import ArrowException, parquet

    try:
        frame = parquet.read_table(path).to_pandas()
    except (ArrowException, OSError, ValueError) as error:
        raise DataError(f"is no readable Parquet file ({error})", where=path) from None
    frame = frame.rename(columns=str).astype("string").fillna("").astype(object)
    return Table(frame, np.arange(1, len(frame) + 1), [], ["Parquet has no header: rows are counted from 1"])
