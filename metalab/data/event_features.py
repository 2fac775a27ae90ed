"""The further columns of a table of events as numbers: of entities, of tasks, or of the moment.

What is decided about a column (:class:`Column`) can be kept, so that later rows are described alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Of = Literal["entity", "task", "context"]
PARTS: tuple[Of, ...] = ("entity", "task", "context")
"""The order of features in an input."""
VALUES = 16
"""Most values of a column that get a number of their own: the most frequent."""
RARE = 20
"""Rows that a value must have, at least."""
NUMERIC = 0.95
"""Share of a column's cells that are numbers, if it is one of numbers."""
DISTINCT = 0.5
"""Share of different values from which a column of words names rows instead of describing them."""
FAR = 5.0
"""Deviations at which a number is cut off."""
TAIL = 10.0
"""Largest value over the median from which a logarithm is taken."""


class Column(NamedTuple):
    """How a column becomes numbers: one, (log of it less ``mean``) / ``spread``, or a flag for each of
    ``values``; of a list, whose parts "|" separates, for each that it holds. JSON-able as a list."""

    name: str
    of: Of
    values: tuple[str, ...] = ()
    listed: bool = False
    log: bool = False
    mean: float = 0.0
    spread: float = 1.0

    @property
    def labels(self) -> list[str]:
        """Names of the numbers."""
        return [f"{self.name} {value}" for value in self.values] or [self.name]

    def encoded(self, cells: pd.Series) -> NDArray[np.float32]:
        """Return numbers (n, k) of text ``cells``; what is unknown is 0."""
        cells = cells.astype(str).str.strip().reset_index(drop=True)
        if not self.values:
            numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)
            with np.errstate(invalid="ignore"):
                numbers = np.log1p(numbers.clip(0)) if self.log else numbers
            scaled = np.nan_to_num((numbers - self.mean) / self.spread, posinf=FAR, neginf=-FAR)
            return scaled.clip(-FAR, FAR).astype(np.float32)[:, None]
        if self.listed:
            parts = cells.str.split("|").explode().str.strip()
            flags = [(parts == value).groupby(level=0).any().to_numpy() for value in self.values]
        else:
            flags = [(cells == value).to_numpy() for value in self.values]
        return np.stack(flags, 1).astype(np.float32)


def fitted(
    rows: pd.DataFrame,
    names: Sequence[str],
    entity: NDArray[np.int64],
    task: NDArray[np.int64],
    notes: list[str],
) -> list[Column]:
    """Decide about the columns ``names`` of ``rows``; ``entity`` and ``task`` number who each row is of.

    A column that is the same for all rows of an entity describes it; so with tasks; else it is context.
    """
    found, left_out = [], []
    for name in names:
        codes = pd.factorize(rows[name])[0]
        of: Of = "context"
        for which, group in (("entity", entity), ("task", task)):
            if _constant(codes, group):
                of = which
                break
        picked = np.arange(len(rows))
        if of != "context":
            picked = np.unique({"entity": entity, "task": task}[of], return_index=True)[1]
        column = _decided(rows[name].iloc[picked], name, of)
        if column is None:
            left_out.append(name)
        else:
            found.append(column)
    if left_out:
        notes.append(f"Columns that describe nothing, or differ in almost every row: {', '.join(left_out)}")
    return sorted(found, key=lambda column: PARTS.index(column.of))


def encoded(rows: pd.DataFrame, columns: Sequence[Column], of: Of) -> NDArray[np.float32]:
    """Return what ``columns`` ``of`` one part say about ``rows`` (n, k); a column that is missing is 0."""
    parts = [
        column.encoded(rows[column.name])
        if column.name in rows
        else np.zeros((len(rows), len(column.labels)), np.float32)
        for column in columns
        if column.of == of
    ]
    return np.hstack(parts) if parts else np.zeros((len(rows), 0), np.float32)


def _constant(codes: NDArray[np.int64], group: NDArray[np.int64]) -> bool:
    """Return whether every group has one code, and groups differ."""
    first = np.unique(group, return_index=True)[1]
    return bool((codes == codes[first][group]).all()) and len(first) > 1 and codes.max(initial=0) > 0


def _decided(cells: pd.Series, name: str, of: Of) -> Column | None:
    """Return how ``cells`` become numbers; None if they describe nothing."""
    cells = cells.str.strip()
    filled = cells != ""
    numbers = pd.to_numeric(cells, errors="coerce")
    if filled.any() and numbers[filled].notna().mean() >= NUMERIC and numbers.nunique() > 2:
        known = numbers[np.isfinite(numbers)].to_numpy(dtype=float)
        log = bool(known.min() >= 0 and known.max() > TAIL * max(float(np.median(known)), 1e-9))
        known = np.log1p(known) if log else known
        return Column(name, of, log=log, mean=float(known.mean()), spread=float(known.std()) or 1.0)
    listed = bool(cells.str.contains("|", regex=False).any())
    single = cells.str.split("|").explode().str.strip() if listed else cells
    counts = single[single != ""].value_counts()
    if not len(counts) or (len(counts) < 2 and filled.all()):
        return None
    if not listed and len(counts) > DISTINCT * len(cells) and len(counts) > VALUES:
        return None
    least = min(RARE, max(1, len(cells) // 100))
    chosen = tuple(str(one) for one in counts[counts >= least].index[:VALUES])
    return Column(name, of, chosen, listed) if chosen else None
