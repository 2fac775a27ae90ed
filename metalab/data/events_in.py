"""A user's own table of ratings or of impressions: read, checked, and described by its further columns.

Rows that cannot be used are named by their number and column; the others are kept, and all are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metalab.data.event_features import Column, encoded, fitted
from metalab.data.events import Events, gathered
from metalab.data.events_table import Table, read_table
from metalab.data.rows import columns_of
from metalab.errors import DataError, FaultyDataError

Kind = Literal["ratings", "clicks"]
Mark = Callable[..., None]
"""Marks rows as faulty: (which, column, what is wrong, the cells that say it)."""
FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "ratings": {
        "user": (
            "user",
            "user_id",
            "userid",
            "customer",
            "customer_id",
            "visitor",
            "account",
            "person",
            "uid",
        ),
        "item": (
            *("item", "item_id", "itemid", "product", "product_id", "sku", "article", "asin", "parent_asin"),
            *("movie", "movie_id", "movieid", "film", "book", "title_id"),
        ),
        "rating": ("rating", "stars", "score", "overall", "grade", "value", "click", "clicked", "bought"),
        "time": ("timestamp", "time", "date", "datetime", "rated_at", "created_at", "unixreviewtime"),
        "name": ("title", "name", "item_name", "product_name", "movie_title"),
    },
    "clicks": {
        "user": (
            "campaign",
            "campaign_id",
            "ad",
            "ad_id",
            "adid",
            "advertisement",
            "creative",
            "creative_id",
        ),
        "item": ("user", "user_id", "userid", "viewer", "visitor", "customer", "customer_id", "uid"),
        "rating": ("clicked", "click", "label", "is_click", "target", "y"),
        "time": ("timestamp", "time", "date", "datetime", "hour", "served_at", "created_at"),
        "name": (),
    },
}
"""Names that columns may have. Of clicks a campaign is the task ("user") and the viewer what it meets."""
WORDS = {
    "ratings": {"user": "user", "item": "item", "rating": "rating", "time": "time", "name": "title"},
    "clicks": {"user": "campaign", "item": "user", "rating": "clicked", "time": "time", "name": "title"},
}
"""What the fields are called in messages and in a mapping."""
SCALES = ((0, 1), (1, 5), (0, 5), (1, 10), (0, 10), (-10, 10), (0, 100))
"""Of which the first that holds almost all ratings is taken."""
ALMOST, MOSTLY = 0.95, 0.5
"""Share of ratings within a scale, and of times that are numbers, from which the column is taken so."""
TRUE = {"1", "1.0", "true", "yes", "click", "clicked"}
FALSE = {"0", "0.0", "false", "no", "none", ""}
ANYONE = "anyone"
"""The one viewer, where impressions name none."""
CRITEO = ("label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27)))
CAMPAIGNS = (50, 5000)
"""Values that a column of Criteo's layout has, at least and at most, to be taken for the campaign."""


@dataclass(frozen=True)
class Fault:
    """A row that cannot be used: its number in the file, the first line being 1, and why."""

    row: int
    column: str
    what: str

    def __str__(self) -> str:
        return f"row {self.row}, {self.column}: {self.what}"


@dataclass(frozen=True, eq=False)
class EventsRead:
    """What was read; ``notes`` say what was left out, guessed or changed, ``faults`` which rows and why."""

    events: Events
    columns: list[Column] = field(default_factory=list)
    """How further columns became numbers."""
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    rows: int = 0
    """In the file, without its header."""


def read_events(
    path: Path,
    kind: Kind,
    columns: Mapping[str, str] | None = None,
    leave_out: bool = False,
    scale: tuple[float, float] | None = None,
) -> EventsRead:
    """Read a CSV (comma, semicolon or tab), or Parquet, of events.

    ratings: user, item, rating (without it every row is a like), time (optional). clicks: campaign, clicked,
    time and user (optional), or Criteo's or Avazu's layout. ``columns`` names columns that are called
    otherwise, as {"user": "Kunde"}. Raises :class:`DataError`, and :class:`FaultyDataError` with all rows
    that cannot be used unless ``leave_out`` agrees to go on without them.
    """
    table = read_table(path, CRITEO if kind == "clicks" else ())
    notes = list(table.notes)
    places = _places(table, path, kind, dict(columns or {}), notes)
    faults = [Fault(number, "row", what) for number, what in table.broken]
    frame, numbers = table.frame, table.numbers
    words = WORDS[kind]

    task = frame[places["user"]].str.strip()
    item = frame[places["item"]].str.strip() if "item" in places else pd.Series(ANYONE, frame.index)
    bad = np.zeros(len(frame), dtype=bool)

    def mark(wrong: NDArray[np.bool_], column: str, what: str, given: pd.Series | None = None) -> None:
        fresh = np.flatnonzero(wrong & ~bad)
        values = None if given is None else given.to_numpy()[fresh]
        for at, number in enumerate(numbers[fresh].tolist()):
            faults.append(Fault(number, column, what if values is None else f"{values[at]!r} {what}"))
        bad[fresh] = True

    for values, name in ((task, "user"), (item, "item")):
        if name in places:
            mark((values == "").to_numpy(), places[name], f"no {words[name]}")
    outcome, scale = _outcomes(frame, places, kind, scale, mark, notes)
    time = _times(frame, places, mark)
    faults.sort(key=lambda fault: fault.row)
    if len(frame) and bad.all():
        raise FaultyDataError(faults, where=path, fix="No row is left: mend the table")
    if faults and not leave_out:
        fix = "Mend them, or go on without them (--leave-out, or leave_out)"
        raise FaultyDataError(faults, where=path, fix=fix)
    if faults:
        notes.append(f"{len(faults)} rows were left out, which cannot be used: {faults[0]}; …")
    kept = ~bad
    kept &= _last_of_each(task, item, time, kept, kind, "item" in places, notes)
    kept &= _enough(task, kept, words["user"], notes)
    if not kept.any():
        raise DataError(
            f"no {words['user']} has two rows or more", where=path, fix="Bring more events of each"
        )
    events, described = _gathered(frame, kept, task, item, outcome, time, scale, places, notes)
    return EventsRead(
        events,
        described,
        notes,
        faults,
        len(frame) + len(table.broken),
    )


def _places(
    table: Table, path: Path, kind: Kind, columns: dict[str, str], notes: list[str]
) -> dict[str, str]:
    """Return the column of each field. Raises :class:`DataError` with a mapping that may be meant."""
    held = list(table.frame.columns)
    words = WORDS[kind]
    if unknown := set(columns) - set(words.values()):
        raise DataError(
            f"no field is called {', '.join(sorted(unknown))}",
            where="columns",
            fix=f"Use {list(words.values())}",
        )
    given = {field: columns[word] for field, word in words.items() if word in columns}
    for field_, column in given.items():
        if column not in held:
            raise DataError(
                f"has no column {column!r}; there are {', '.join(held)[:300]}",
                where=f"{path}, columns: {words[field_]}",
            )
    if kind == "clicks" and "user" not in given:
        if tuple(held) == CRITEO:
            given["user"] = _criteo_campaign(table.frame, notes)
        elif {"click", "C14", "banner_pos"} <= set(held):
            table.frame["C14 × banner_pos"] = table.frame["C14"] + " × " + table.frame["banner_pos"]
            given["user"] = "C14 × banner_pos"
            notes.append("Avazu's layout: a campaign is the advertisement C14 at one place (banner_pos)")
    needed = ["user", "rating"] if kind == "clicks" else ["user", "item"]
    fields = {words[name]: FIELDS[kind][name] for name in words if name not in given}
    found = columns_of(held, str(path), fields, [words[name] for name in needed if name not in given])
    back = {word: name for name, word in words.items()}
    return {**{back[word]: held[at] for word, at in found.items()}, **given}


def _criteo_campaign(frame: pd.DataFrame, notes: list[str]) -> str:
    low, high = CAMPAIGNS
    counts = {name: frame[name].nunique() for name in CRITEO if name.startswith("C")}
    suit = {name: count for name, count in counts.items() if low <= count <= high}
    if not suit:
        raise DataError(
            f"no column of Criteo's layout has {low} to {high} values, so none is taken for the campaign",
            where="columns",
            fix="Name one: columns={'campaign': 'C9'}",
        )
    chosen = min(suit, key=lambda name: abs(np.log(suit[name] / 500)))
    notes.append(f"Criteo's layout names no campaign: {chosen} stands for it, with {suit[chosen]} values")
    return chosen


def _outcomes(
    frame: pd.DataFrame,
    places: Mapping[str, str],
    kind: Kind,
    scale: tuple[float, float] | None,
    mark: Mark,
    notes: list[str],
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return outcomes (n,) and their scale; faulty ones are marked."""
    if "rating" not in places:
        notes.append(
            "There is no rating: every row counts as a like (1), and products that were not met as none"
        )
        return np.ones(len(frame)), (0.0, 1.0)
    given = frame[places["rating"]].str.strip()
    if kind == "clicks":
        lower = given.str.lower()
        yes, no = lower.isin(TRUE), lower.isin(FALSE - {""})
        mark(~(yes | no).to_numpy(), places["rating"], "is neither 0 nor 1", given)
        return yes.to_numpy(dtype=float), (0.0, 1.0)
    values = pd.to_numeric(given.str.replace(",", ".", regex=False), errors="coerce").to_numpy(dtype=float)
    fine = np.isfinite(values)
    mark(~fine, places["rating"], "is no number", given)
    if scale is None:
        known = values[fine]
        inside = (s for s in SCALES if len(known) and np.mean((known >= s[0]) & (known <= s[1])) >= ALMOST)
        low, high = next(inside, (known.min(), known.max()) if len(known) else (0, 1))
        scale = (float(low), float(high))
        notes.append(f"Ratings go from {low:g} to {high:g}")
    with np.errstate(invalid="ignore"):
        outside = fine & ((values < scale[0]) | (values > scale[1]))
    mark(outside, places["rating"], f"is outside of {scale[0]:g} to {scale[1]:g}", given)
    return np.nan_to_num(values), scale


def _times(frame: pd.DataFrame, places: Mapping[str, str], mark: Mark) -> NDArray[np.int64]:
    """Return times (n,) in seconds, or the order of rows where there is none."""
    if "time" not in places:
        return np.arange(len(frame))
    given = frame[places["time"]].str.strip()
    numbers = pd.to_numeric(given, errors="coerce").to_numpy(dtype=float)
    known = numbers[np.isfinite(numbers)]
    if len(known) >= MOSTLY * len(numbers) and len(known):
        if given.str.fullmatch(r"\d{8}").mean() >= MOSTLY and places["time"].lower() == "hour":
            parsed = pd.to_datetime(given, format="%y%m%d%H", errors="coerce")  # Avazu's
            return _seconds(parsed, given, places["time"], mark)
        mark(~np.isfinite(numbers), places["time"], "is no time", given)
        return np.nan_to_num(numbers).astype(np.int64)
    return _seconds(
        pd.to_datetime(given, errors="coerce", format="mixed", utc=True), given, places["time"], mark
    )


def _seconds(parsed: pd.Series, given: pd.Series, column: str, mark: Mark) -> NDArray[np.int64]:
    wrong = parsed.isna().to_numpy()
    mark(wrong, column, "is no date", given)
    seconds = parsed.to_numpy(dtype="datetime64[s]").astype(np.int64)
    return np.where(wrong, 0, seconds)


def _last_of_each(
    task: pd.Series,
    item: pd.Series,
    time: NDArray[np.int64],
    kept: NDArray[np.bool_],
    kind: Kind,
    viewers: bool,
    notes: list[str],
) -> NDArray[np.bool_]:
    """Return which rows stay when the same pair occurs several times: of ratings the last one."""
    same = pd.DataFrame({"task": task, "item": item})[kept]
    if kind == "clicks":
        if not viewers:
            return np.ones(len(task), dtype=bool)
        same["time"] = time[kept]
    order = np.argsort(time[kept], kind="stable")
    repeated = same.iloc[order].duplicated(keep="last").to_numpy()
    stays = np.ones(len(task), dtype=bool)
    stays[np.flatnonzero(kept)[order[repeated]]] = False
    if repeated.any():
        notes.append(
            f"{int(repeated.sum())} rows repeat an earlier one of the same pair: the last one counts"
        )
    return stays


def _enough(task: pd.Series, kept: NDArray[np.bool_], word: str, notes: list[str]) -> NDArray[np.bool_]:
    """Return which rows are of a task with two rows or more."""
    counts = task[kept].map(task[kept].value_counts())
    single = (counts < 2).to_numpy()
    stays = np.ones(len(task), dtype=bool)
    stays[np.flatnonzero(kept)[single]] = False
    if single.any():
        notes.append(
            f"{int(single.sum())} {word}s with one row only are left out: nothing is left to judge by"
        )
    return stays


def _gathered(
    frame: pd.DataFrame,
    kept: NDArray[np.bool_],
    task: pd.Series,
    item: pd.Series,
    outcome: NDArray[np.float64],
    time: NDArray[np.int64],
    scale: tuple[float, float],
    places: Mapping[str, str],
    notes: list[str],
) -> tuple[Events, list[Column]]:
    """Return the rows that are kept as events, described by their further columns, and how."""
    rows = frame[kept].reset_index(drop=True)
    tasks, task_names = pd.factorize(task[kept])
    items, item_names = pd.factorize(item[kept])
    keys = [str(name) for name in item_names]
    names = keys
    first_item, first_task = (np.unique(codes, return_index=True)[1] for codes in (items, tasks))
    if "name" in places:
        titles = rows[places["name"]].to_numpy()[first_item]
        names = _told_apart([str(t).strip() or n for t, n in zip(titles, keys, strict=True)], keys)
    further = [column for column in frame.columns if column and column not in places.values()]
    columns = fitted(rows, further, items, tasks, notes)
    events = gathered(
        tasks,
        items,
        outcome[kept],
        time[kept],
        task_features=encoded(rows.iloc[first_task], columns, "task"),
        entity_features=encoded(rows.iloc[first_item], columns, "entity"),
        context=encoded(rows, columns, "context"),
        task_names=[str(name) for name in task_names],
        entity_names=names,
        feature_names=tuple(label for column in columns for label in column.labels),
        scale=scale,
        entity_keys=() if names is keys else keys,
    )
    return events, columns


def _told_apart(titles: list[str], keys: list[str]) -> list[str]:
    """Return titles; those that several entities share get their key behind them."""
    shared = {title for title, count in pd.Series(titles).value_counts().items() if count > 1}
    return [f"{title} ({key})" if title in shared else title for title, key in zip(titles, keys, strict=True)]
