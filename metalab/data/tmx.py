"""TMX, the exchange format of translation memories: XML read safely, each unit with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from metalab.data.archives import Note
from metalab.data.rows import Row
from metalab.errors import DataError

DEPTH = 40
"""Elements within each other; TMX needs about ten."""
ALL = "*all*"
"""What the header says where no language is the source."""


@dataclass
class _Unit:
    """A translation unit: its line, its source language if it says so, and its texts by language."""

    line: int
    source: str
    texts: dict[str, str] = field(default_factory=dict)


class _Reader:
    """Collects the units of a TMX. Inline codes, as ``<ph>{0}</ph>``, count as the text that they hold.

    A document type may be named, as TMX does, but declares nothing here and is never fetched: entities could
    expand for ever, or read other files.
    """

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.units: list[_Unit] = []
        self.source, self.path, self.language = "", [], ""
        self.seg: list[str] | None = None
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.data
        self.parser.EntityDeclHandler = self.refuse
        self.parser.ExternalEntityRefHandler = self.refuse
        self.parser.buffer_text = True

    def refuse(self, *_: object) -> None:
        raise DataError(f"declares an entity in line {self.parser.CurrentLineNumber}", fix="Write it out")

    def start(self, tag: str, held: dict[str, str]) -> None:
        if not self.path and tag != "tmx":
            raise DataError(f"is no TMX: its first element is {tag[:40]!r}")
        self.path.append(tag)
        if len(self.path) > DEPTH:
            raise DataError(f"more than {DEPTH} elements within each other")
        if tag == "header":
            self.source = held.get("srclang", "")
        elif tag == "tu":
            self.units.append(_Unit(self.parser.CurrentLineNumber, held.get("srclang", self.source)))
        elif tag == "tuv":
            self.language = held.get("xml:lang") or held.get("lang") or ""
        elif tag == "seg" and self.units:
            self.seg = []

    def end(self, tag: str) -> None:
        self.path.pop()
        if tag == "seg" and self.seg is not None:
            self.units[-1].texts.setdefault(self.language, "".join(self.seg))
            self.seg = None

    def data(self, text: str) -> None:
        if self.seg is not None:
            self.seg.append(text)


def tmx_rows(content: bytes, name: str, notes: list[Note]) -> Iterator[Row]:
    """Yield source, target and group (the target's language) of each translation in a TMX.

    Where no source language is named, it is that of the first unit, which goes to ``notes``, as units without
    a source or a target do. Raises :class:`DataError`, also where an entity is declared.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(content, True)
    except DataError as error:
        raise DataError(error.what, where=name, fix=error.fix) from None
    except (expat.ExpatError, ValueError, LookupError) as error:  # the latter: an unknown encoding
        raise DataError(f"is no XML ({error})", where=name, fix="Export it again as TMX") from None
    named = reader.source and reader.source.lower() != ALL
    first = next((language for unit in reader.units for language in unit.texts), "")
    if not named and first:
        notes.append(Note(name, f"names no source language: taken as {first}", "warning"))
    for unit in reader.units:
        where = f"{name}, line {unit.line}"
        source = unit.source if unit.source and unit.source.lower() != ALL else first
        ours = _of(unit.texts, source)
        if ours is None:
            notes.append(Note(where, f"no text in {source or 'the source language'}", "skipped"))
        elif len(unit.texts) == 1:
            notes.append(Note(where, f"no text but that in {ours}", "skipped"))
        else:
            for language, text in unit.texts.items():
                if language != ours:
                    yield where, {"source": unit.texts[ours], "target": text, "group": language}


def _of(texts: dict[str, str], wanted: str) -> str | None:
    """Return which language of ``texts`` is ``wanted``, or a kind of it: en-GB is a kind of en."""
    plain = {language.lower().replace("_", "-"): language for language in texts}
    wanted = wanted.lower().replace("_", "-")
    if wanted in plain:
        return plain[wanted]
    stem = wanted.partition("-")[0]
    return next((language for name, language in plain.items() if name.partition("-")[0] == stem), None)
