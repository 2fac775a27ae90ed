"""Own questions and answers: SQuAD's JSON, JSON lines, or a CSV with passage, question and answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metalab.data.archives import Note, read_one
from metalab.data.rows import Row, by_field, csv_rows, decoded, json_lines, mapping, parsed_json, plain_lines
from metalab.data.words import words
from metalab.errors import DataError

MOST_BYTES = 50_000_000
MOST_ROWS = 100_000
LONGEST_PASSAGE = 100_000
"""Characters of one passage."""
LONGEST_QUESTION = 40
"""Words of a question."""
LONGEST = 40
"""Words and signs of an answer."""
NAMES = {
    "passage": ("passage", "context", "text", "document"),
    "question": ("question", "query", "ask"),
    "answer": ("answer", "answers", "span"),
    "start": ("start", "answer_start"),
}
"""Names that a column may have."""


@dataclass(frozen=True)
class Answered:
    """A passage, a question about it, and where the answer stands: passage[start:end]; both 0: unanswered."""

    passage: str
    question: str
    start: int = 0
    end: int = 0

    @property
    def answer(self) -> str:
        """The answer's own words."""
        return self.passage[self.start : self.end]


@dataclass(frozen=True)
class AnsweredSet:
    """What was read, and what was left out or repaired."""

    items: list[Answered]
    notes: list[Note]


def read_answered(source: Path | str | bytes, name: str = "upload") -> AnsweredSet:
    """Read a ``.json`` (SQuAD, or a list of rows), ``.jsonl`` or ``.csv`` file, or its bytes.

    Rows that cannot be used are left out with a note that names them; raises :class:`DataError` when the file
    cannot be read, or no row is left.
    """
    if not isinstance(source, bytes):
        name, source = str(source), read_one(Path(source), MOST_BYTES)
    if len(source) > MOST_BYTES:
        raise DataError(f"more than {MOST_BYTES // 10**6} MB", where=name, fix="Split the file")
    notes: list[Note] = []
    return from_rows(_rows(decoded(source, name), name, notes), name, notes)


def read_text(path: Path | str) -> str:
    """Return a text file's content. Raises :class:`DataError`."""
    return decoded(read_one(Path(path), 4 * LONGEST_PASSAGE), str(path))


def from_rows(rows: Iterator[Row], name: str = "table", notes: list[Note] | None = None) -> AnsweredSet:
    """Return rows, each with the words that say where it stands, as answered questions.

    ``notes`` takes what reading them found, too. Raises :class:`DataError` when none can be used.
    """
    items: list[Answered] = []
    notes, seen = [] if notes is None else notes, set()
    for count, (where, row) in enumerate(rows):
        if count >= MOST_ROWS:
            notes.append(Note(name, f"more than {MOST_ROWS} rows: the rest is not read", "skipped"))
            break
        try:
            one = _answered(row)
        except ValueError as error:
            notes.append(Note(where, str(error), "skipped"))
            continue
        key = (one.passage, one.question)
        if key in seen:
            notes.append(Note(where, "the same passage and question again", "skipped"))
            continue
        seen.add(key)
        items.append(one)
    if not items:
        why = f" ({notes[0].where}: {notes[0].what})" if notes else ""
        raise DataError(
            f"no answered question can be used{why}",
            where=name,
            fix="Give passage, question and answer, the answer being words of the passage",
        )
    return AnsweredSet(items, notes)


def _answered(row: Mapping[str, Any]) -> Answered:
    """Return ``row`` checked; raises ValueError saying what is wrong with it."""
    held = by_field(row, NAMES)
    for field in ("passage", "question"):
        if not isinstance(held[field], str) or not held[field].strip():
            raise ValueError(f"no {field}")
    passage, question = plain_lines(held["passage"]), plain_lines(held["question"])
    if len(passage) > LONGEST_PASSAGE:
        raise ValueError(f"a passage of {len(passage)} characters, at most {LONGEST_PASSAGE}")
    if (asked := len(words(question))) > LONGEST_QUESTION:
        raise ValueError(f"a question of {asked} words, at most {LONGEST_QUESTION}")
    answer = held["answer"]
    if isinstance(answer, list):  # SQuAD holds several; the first is as good as any
        answer = answer[0] if answer else None
    if isinstance(answer, Mapping):
        held["start"], answer = answer.get("answer_start"), answer.get("text")
    if answer is None or not str(answer).strip():
        return Answered(passage, question)
    answer = str(answer).replace("\r\n", "\n").strip()
    if (told := len(words(answer))) > LONGEST:
        raise ValueError(f"an answer of {told} words, at most {LONGEST}: mark the essential part")
    places = _places(passage, answer)
    if not places:
        raise ValueError(f"the answer {_short(answer)!r} is not in the passage")
    try:
        wanted = int(held["start"]) if held["start"] not in (None, "") else places[0]
    except (TypeError, ValueError):
        raise ValueError(f"the answer starts at {held['start']!r}, which is no number") from None
    start = min(places, key=lambda place: abs(place - wanted))
    return Answered(passage, question, start, start + len(answer))


def _places(passage: str, answer: str) -> list[int]:
    found, at = [], passage.find(answer)
    while at >= 0:
        found.append(at)
        at = passage.find(answer, at + 1)
    return found


def _rows(text: str, name: str, notes: list[Note]) -> Iterator[Row]:
    if name.lower().endswith(".csv"):
        yield from csv_rows(text, name, NAMES, ("passage", "question", "answer"))
    elif name.lower().endswith(".jsonl"):
        yield from json_lines(text, name, notes)
    elif name.lower().endswith(".json"):
        yield from _squad(parsed_json(text, name), name)
    else:
        raise DataError("is of no known format", where=name, fix="Give a .json, .jsonl or .csv file")


def _squad(held: Any, name: str) -> Iterator[Row]:
    """Yield the rows of SQuAD's nested JSON, or of a plain list of rows."""
    if isinstance(held, Mapping) and isinstance(held.get("data"), list):
        for title, article in enumerate(held["data"], 1):
            for number, paragraph in enumerate(_sequence(article, "paragraphs"), 1):
                for ask, asked in enumerate(_sequence(paragraph, "qas"), 1):
                    place = f"{name}, article {title}, paragraph {number}, question {ask}"
                    yield place, {"context": mapping(paragraph).get("context"), **mapping(asked)}
        return
    if not isinstance(held, list):
        raise DataError(
            "is neither SQuAD's format nor a list of rows", where=name, fix='Give {"data": [...]}'
        )
    for number, row in enumerate(held, 1):
        yield f"{name}, row {number}", mapping(row)


def _sequence(held: Any, key: str) -> Sequence[Any]:
    found = mapping(held).get(key)
    return found if isinstance(found, list) else []


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
