"""Own pairs of texts: (document, summary) or (source, target), from CSV, JSON, JSON lines, TMX or PO.

Every row that cannot be used, and every repair, is told with its place; nothing is cut silently.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal

from metalab.data.archives import Note, printable, read_one
from metalab.data.pairs import Pair
from metalab.data.placeholders import unbalanced
from metalab.data.po import po_rows
from metalab.data.rows import (
    Row,
    by_field,
    columns_of,
    csv_cells,
    decoded,
    json_lines,
    mapping,
    parsed_json,
    plain_lines,
    plain_name,
)
from metalab.data.tmx import tmx_rows
from metalab.errors import DataError

MOST_BYTES = 50_000_000
MOST_ROWS = 100_000
LONGEST = 100_000
"""Characters of one text."""
SHOWN = 5
"""Places that a note about many rows names."""
OWN = "own texts"
"""Group of the rows that name none."""
FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "translation": {
        "source": ("source", "src", "source_text", "original", "msgid", "from", "input", "sentence", "text"),
        "target": (
            *("target", "tgt", "target_text", "translation", "translated", "msgstr", "to", "output"),
            "reference",
        ),
        "group": ("group", "language", "target_language", "lang", "locale"),
    },
    "summarisation": {
        "source": (
            *("document", "text", "article", "body", "passage", "content", "source", "input", "description"),
            "dialogue",
        ),
        "target": (
            *("summary", "abstract", "highlights", "headline", "tldr", "title", "target", "output"),
            "reference",
        ),
        "group": ("group", "package", "style", "topic"),
    },
}
"""Names that a column may have, of each application."""
WORDS = {"translation": ("source", "target"), "summarisation": ("document", "summary")}
"""What the two texts of a pair are called."""
CODE = re.compile(r"[a-z]{2,3}([_-][A-Za-z]{2,4}){0,2}")
"""A language's code as the name of a column."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that nobody sees, save the line's end and the tab."""


@dataclass(frozen=True)
class PairSet:
    """What was read, by group (language or package, :data:`OWN` where none is named), and what to know."""

    groups: dict[str, list[Pair]]
    notes: list[Note]

    def __len__(self) -> int:
        return sum(map(len, self.groups.values()))

    def only(self, group: str | None = None) -> list[Pair]:
        """Return the pairs of ``group``, or of the only one. Raises :class:`DataError` if there are more."""
        if group is None and len(self.groups) == 1:
            return next(iter(self.groups.values()))
        if group not in self.groups:
            names = ", ".join(self.groups)
            what = f"{len(self.groups)} groups of pairs" if group is None else f"there is no group {group!r}"
            raise DataError(what, where="group", fix=f"Choose one of: {names}"[:500])
        return self.groups[group]


def read_pairs(source: Path | str | bytes, application: str, name: str = "upload") -> PairSet:
    """Read a ``.csv``, ``.tsv``, ``.json``, ``.jsonl``, ``.tmx`` or ``.po`` file, or its bytes.

    ``application`` says what the pairs are for. Rows that cannot be used are left out with a note that names
    them; raises :class:`DataError` when the file cannot be read, or no row is left.
    """
    if not isinstance(source, bytes):
        name, source = str(source), read_one(Path(source), MOST_BYTES)
    if len(source) > MOST_BYTES:
        raise DataError(f"more than {MOST_BYTES // 10**6} MB", where=name, fix="Split the file")
    notes: list[Note] = []
    return from_rows(_rows(source, application, name, notes), application, name, notes)


def from_rows(
    rows: Iterator[Row], application: str, name: str = "table", notes: list[Note] | None = None
) -> PairSet:
    """Return rows, each with the words that say where it stands, as pairs.

    ``notes`` takes what reading them found, too. Raises :class:`DataError` when none can be used.
    """
    notes = [] if notes is None else notes
    groups: dict[str, list[Pair]] = {}
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    found = _Found(name)
    for count, (where, row) in enumerate(rows):
        if count >= MOST_ROWS:
            notes.append(Note(name, f"more than {MOST_ROWS} rows: the rest is not read", "skipped"))
            break
        try:
            pair, group = _pair(row, application, where, found)
        except ValueError as error:
            notes.append(Note(where, str(error), "skipped"))
            continue
        key = (group, " ".join(pair.source.split()))
        if key in seen:
            before, target = seen[key]
            ours, theirs = WORDS[application]
            other = "" if target == pair.target else f", with another {theirs}"
            notes.append(Note(where, f"the same {ours} as in {before}{other}", "skipped"))
            continue
        seen[key] = where.removeprefix(f"{name}, "), pair.target
        groups.setdefault(group, []).append(pair)
    if not groups:
        why = f" ({notes[0].where}: {notes[0].what})" if notes else ""
        fix = f"Give rows with {' and '.join(WORDS[application])}"
        raise DataError(f"no pair can be used{why}", where=name, fix=fix)
    return PairSet(groups, [*notes, *found.notes()])


@dataclass
class _Found:
    """What concerns many rows alike: told once, with the places."""

    name: str
    places: dict[tuple[str, Literal["repaired", "warning"]], list[str]] = field(default_factory=dict)

    def add(self, where: str, what: str, action: Literal["repaired", "warning"]) -> None:
        self.places.setdefault((what, action), []).append(where.removeprefix(f"{self.name}, "))

    def notes(self) -> list[Note]:
        held = []
        for (what, action), places in self.places.items():
            more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
            held.append(Note(f"{self.name}, {', '.join(places[:SHOWN])}{more}", what, action))
        return held


def _pair(row: Mapping[str, Any], application: str, where: str, found: _Found) -> tuple[Pair, str]:
    """Return ``row`` checked, and its group; raises ValueError saying what is wrong with it."""
    if not row:
        raise ValueError("is no object of names and values")
    held, (ours, theirs) = by_field(row, FIELDS[application]), WORDS[application]
    try:
        columns_of([str(key) for key in row], "", _words_of(application), WORDS[application])
    except DataError as error:
        raise ValueError(f"{error.what}. {error.fix}") from None
    repairs: set[str] = set()
    texts = []
    for key, words in (("source", ours), ("target", theirs)):
        text = held[key]
        if isinstance(text, list) and text and all(isinstance(part, str) for part in text):
            text = "\n".join(text)  # as highlights, or sentences, are sometimes given
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"no {words}")
        texts.append(_plain(text, words, repairs))
    source, target = texts
    for what in sorted(repairs):
        found.add(where, what, "repaired")
    if application == "translation":
        if said := unbalanced(source, target):
            raise ValueError(f"placeholders differ: {said}")
        if source == target:
            found.add(where, "the target is the source itself", "warning")
    elif len(target) >= len(source):
        found.add(where, "the summary is no shorter than its document", "warning")
    group = held["group"]
    return Pair(source, target), printable(str(group)).strip()[:100] if group not in (None, "") else OWN


def _plain(text: str, words: str, repairs: set[str]) -> str:
    """Return ``text`` as it is kept: NFC, one kind of line end, no control characters; raises ValueError."""
    if len(text) > LONGEST:
        raise ValueError(f"a {words} of {len(text)} characters, at most {LONGEST}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"half a character (a lone surrogate) in the {words}") from None
    plain = plain_lines(text)
    if plain != text:
        repairs.add("line ends of another system are made plain")
    composed = unicodedata.normalize("NFC", plain)
    if composed != plain:
        repairs.add("letters and their accents are put together (Unicode NFC)")
    clean = CONTROL.sub("", composed)
    if clean != composed:
        repairs.add("control characters are taken out")
    if not clean.strip():
        raise ValueError(f"no {words}")
    return clean.strip()


def _rows(content: bytes, application: str, name: str, notes: list[Note]) -> Iterator[Row]:
    ending = PurePath(name).suffix.lower()
    if ending in (".tmx", ".po", ".mo", ".pot") and application != "translation":
        raise DataError("holds translations, not summaries", where=name, fix="Give .csv, .json or .jsonl")
    if ending == ".tmx":
        yield from tmx_rows(content, name, notes)
    elif ending in (".po", ".pot", ".mo"):
        yield from po_rows(content, name, notes)
    elif ending in (".csv", ".tsv"):
        yield from _csv(decoded(content, name), application, name, notes)
    elif ending == ".jsonl":
        for where, row in json_lines(decoded(content, name), name, notes):
            yield where, _named(row, application)
    elif ending == ".json":
        yield from _listed(parsed_json(decoded(content, name), name), application, name)
    else:
        also = ", .tmx or .po" if application == "translation" else ""
        raise DataError("is of no known format", where=name, fix=f"Give .csv, .json, .jsonl{also}")


def _csv(text: str, application: str, name: str, notes: list[Note]) -> Iterator[Row]:
    fields = FIELDS[application]
    cells = csv_cells(text, name, {one for names in fields.values() for one in names})
    columns = [column.strip() for column in next(cells, (1, []))[1]]
    if len(columns) == 2 and all(map(CODE.fullmatch, columns)) and not _known(columns, fields):
        what = f"columns {columns[0]} and {columns[1]} are read as source and target"
        notes.append(Note(name, what, "warning"))
        places = {"source": 0, "target": 1}
    else:
        ours, theirs = WORDS[application]
        held = columns_of(columns, name, _words_of(application), (ours, theirs))
        places = {{ours: "source", theirs: "target"}.get(word, word): at for word, at in held.items()}
    for line, row in cells:
        where = f"{name}, line {line}"
        if len(row) > len(columns):
            notes.append(
                Note(
                    where,
                    f"{len(row)} cells under {len(columns)} columns: quote texts with commas",
                    "skipped",
                )
            )
            continue
        yield where, {key: row[at] if at < len(row) else None for key, at in places.items()}


def _known(columns: Sequence[str], fields: Mapping[str, Sequence[str]]) -> bool:
    return any(plain_name(column) in names for column in columns for names in fields.values())


def _words_of(application: str) -> dict[str, tuple[str, ...]]:
    """Return the fields by the words that users know them by."""
    fields, (ours, theirs) = FIELDS[application], WORDS[application]
    return {ours: fields["source"], theirs: fields["target"], "group": fields["group"]}


def _listed(held: Any, application: str, name: str) -> Iterator[Row]:
    """Yield the rows of a list, or of the only list in an object."""
    if isinstance(held, Mapping):
        lists = [value for value in held.values() if isinstance(value, list)]
        held = lists[0] if len(lists) == 1 else None
    if not isinstance(held, list):
        raise DataError("is no list of rows", where=name, fix="Give [{...}, {...}]")
    for number, row in enumerate(held, 1):
        yield f"{name}, row {number}", _named(row, application)


def _named(row: Any, application: str) -> Mapping[str, Any]:
    """Return a row by name: a list of two texts, or the texts by language below "translation", as well."""
    if isinstance(row, list) and len(row) == 2:
        return dict(zip(("source", "target"), row, strict=True))
    row = mapping(row)
    inner = row.get("translation")
    if application == "translation" and isinstance(inner, Mapping) and len(inner) == 2:
        return dict(zip(("source", "target"), inner.values(), strict=True))
    return row
