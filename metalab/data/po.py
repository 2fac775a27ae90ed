"""Gettext's PO catalogues: their translated entries as rows, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from metalab.data.archives import Note
from metalab.data.rows import Row, decoded, plain_lines
from metalab.errors import DataError

SHOWN = 8
"""Lines that a note about many entries names."""

_KEYWORD = re.compile(r'(msgctxt|msgid|msgid_plural|msgstr)(?:\[(\d{1,2})\])?\s*"(.*)"')
_QUOTED = re.compile(r'"(.*)"')
_CHARSET = re.compile(rb"charset=([\w.-]{1,40})")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass
class _Entry:
    """One entry: the line of its msgid, its texts by keyword (msgstr by the number of the plural)."""

    line: int = 0
    texts: dict[tuple[str, int], str] = field(default_factory=dict)
    last: tuple[str, int] | None = None
    fuzzy: bool = False
    fault: str = ""

    def forms(self) -> list[str]:
        """Return the translations, singular before plural."""
        return [text for (keyword, _), text in sorted(self.texts.items()) if keyword == "msgstr"]


def po_rows(content: bytes, name: str, notes: list[Note]) -> Iterator[Row]:
    """Yield source, target and group (the header's language) of each translated entry of a PO file.

    Of an entry with plurals the first form goes with the singular, the last with the plural. Entries that are
    broken, fuzzy or not translated go to ``notes``; obsolete ones are no entries. Raises :class:`DataError`.
    """
    text = _text(content, name)
    language, left = "", {"not translated yet": [], "marked fuzzy (a guess that nobody has checked)": []}
    empty, fuzzy = left.values()
    for entry in _entries(plain_lines(text)):
        source, forms = entry.texts.get(("msgid", 0)), entry.forms()
        where = f"{name}, line {entry.line}"
        if entry.fault or source is None or not forms:
            notes.append(Note(where, entry.fault or "an entry without msgid or msgstr", "skipped"))
        elif source == "" and ("msgctxt", 0) not in entry.texts:
            said = re.search(r"^Language:[ \t]*(\S+)", forms[0], re.MULTILINE)
            language = said[1] if said else ""
        elif entry.fuzzy:
            fuzzy.append(entry.line)
        elif not all(form.strip() for form in forms):
            empty.append(entry.line)
        else:
            plural = entry.texts.get(("msgid_plural", 0))
            if plural is None or len(forms) > 1:
                yield where, {"source": source, "target": forms[0], "group": language}
            if plural is not None:
                yield f"{where} (plural)", {"source": plural, "target": forms[-1], "group": language}
    for what, lines in left.items():
        if lines:
            places = ", ".join(map(str, lines[:SHOWN])) + (", …" if len(lines) > SHOWN else "")
            entries = "1 entry" if len(lines) == 1 else f"{len(lines)} entries"
            word = "line" if len(lines) == 1 else "lines"
            notes.append(Note(f"{name}, {word} {places}", f"{entries} {what}", "skipped"))


def _text(content: bytes, name: str) -> str:
    if content.startswith((b"\xde\x12\x04\x95", b"\x95\x04\x12\xde")):
        raise DataError("is a compiled catalogue", where=name, fix="Give the .po that it was made from")
    try:
        return decoded(content, name)
    except DataError:
        said = _CHARSET.search(content[:10_000])
        if said is None:
            raise
        try:
            return content.decode(said[1].decode())
        except (LookupError, UnicodeDecodeError):
            raise DataError(
                f"is not {said[1].decode()}, as its header says", where=name, fix="Save it as UTF-8"
            ) from None


def _entries(text: str) -> Iterator[_Entry]:
    """Yield the entries of a catalogue; a blank line, a comment after a text, or a new msgid ends one."""
    entry = _Entry()
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            if entry.texts or entry.fault:
                yield entry
                entry = _Entry()
            if line.startswith("#,"):
                entry.fuzzy = "fuzzy" in (flag.strip() for flag in line[2:].split(","))
            continue
        if match := _KEYWORD.fullmatch(line):
            key = (match[1], int(match[2] or 0))
            begins = match[1] == "msgctxt" or (match[1] == "msgid" and ("msgctxt", 0) not in entry.texts)
            if key in entry.texts or (begins and entry.texts):
                yield entry
                entry = _Entry()
            if match[1] == "msgid" or not entry.line:
                entry.line = number
            entry.texts[key], entry.last = _plain(match[3]), key
        elif (match := _QUOTED.fullmatch(line)) and entry.last is not None:
            entry.texts[entry.last] += _plain(match[1])
        else:
            entry.line = entry.line or number
            entry.fault = f"line {number} is neither a keyword with a text in quotation marks nor such a text"
    if entry.texts or entry.fault:
        yield entry


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), quoted)
