"""Questions with exact answers: spans of numpydoc docstrings, found by the standard's own structure.

The standard (numpydoc's style guide) fixes sections, entries and how types and defaults are written, so a
span is right by construction. A *kind* of question is one class of tasks; families of kinds that resemble
each other are never in two splits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from metalab.tasks import Split

HEADER = re.compile(r"^([A-Z][A-Za-z ]+)\n(-{3,}) *$", re.M)
ENTRY = re.compile(r"^(\*{0,2}[A-Za-z_][\w.]*(?:, \*{0,2}\w+)*)(?: ?: ?(.+))?$", re.M)
DEFAULT = re.compile(
    r"\bdefaults?(?: value)?(?:(?: is| to|:| ?=)\s*|\s+(?=['\"`\d-]|None\b|True\b|False\b))[`'\"]*"
    r"(?!(?:a|an|the|to|is|it|its|that|this|all|no|not|using|use|whatever|half|same|one|two|number|value)\b)"
    r"(?!(?:used|set|chosen|taken|given|computed|determined|calculated|estimated|inferred|\w+ly)\b)"
    r"(-?\w[\w.+\-]*+|\(\)|\[\]|\{\})(?![\w(\[])(?!['\"`]* ?[*/+=])(?!'s\b)(?![\"'`]* [a-z])",
    re.I,
)
"""A default, not the words of a sentence about it ("the default is used", "default `x` or `y`")."""
CHOICES = re.compile(r"\{[^{}\n]+\}")
SHAPE = re.compile(r"\bshape:?(?: of)? ?[=:]? ?(\([^()\n]*\))")
SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s|$)|(?=\n\s*\n)|$)", re.S)
VERSION = re.compile(r"versionadded:: *(\d[\w.]*)")
CHANGED = re.compile(r"(?:versionchanged|deprecated):: *(\d[\w.]*)")
YEAR = re.compile(r"(?<!/)\b((?:19|20)\d\d)\b(?!/)")
TITLE = re.compile(r"[\"“]([^\"”]{12,160})[\"”]")
LINK = re.compile(r"https?://[^\s>)`]*[\w/]")
AUTHOR = re.compile(r"\.\. \[\w+\] +((?:[A-Z][\w'-]*\.? ?){1,4})")
CODE = re.compile(r"^>>> ((?!import|from)\S.*)$", re.M)
OUTPUT = re.compile(r"^>>> (?!import|from).*\n(?!>>>|\.\.\.)(\S.*(?:\n(?!>>>) *\S.*)*)", re.M)
"""All lines of it, up to the next command or an empty line."""
IF_NONE = re.compile(r"(If (?:`+)?None(?:`+)?,? [^.\n]+(?:\n *[^.\n]+)?\.)(?=\s|$)")


@dataclass(frozen=True)
class Kind:
    """A kind of question: its name, the family that it shares a split with, and a plain wording."""

    name: str
    family: str
    wording: str


@dataclass(frozen=True)
class Answer:
    """Where the answer of ``kind`` about ``subject`` ("" for the whole text) stands: text[start:end]."""

    kind: str
    subject: str
    start: int
    end: int


KINDS = (
    Kind("type of a parameter", "type", "What type is {}?"),
    Kind("type of what is returned", "type", "Of what type is the result?"),
    Kind("type of an attribute", "type", "What type has the attribute {}?"),
    Kind("parameter of a type", "reverse", "Which argument is a {}?"),
    Kind("what a parameter means", "sentence", "What does {} mean?"),
    Kind("what is returned", "sentence", "What comes back?"),
    Kind("what an attribute holds", "sentence", "What is held in {}?"),
    Kind("when it is raised", "sentence", "When is {} raised?"),
    Kind("the summary", "sentence", "In short, what is it for?"),
    Kind("the notes", "sentence", "What should one note?"),
    Kind("name of the result", "name", "What is the result called?"),
    Kind("first example", "code", "Which line of code shows it?"),
    Kind("author referred to", "reference", "Who wrote the reference?"),
    Kind("title referred to", "reference", "Which work is referred to?"),
    Kind("link", "link", "Where can I read more?"),
    Kind("if it is None", "none", "What if {} is None?"),
    Kind("choices", "choices", "Which values may {} take?"),
    Kind("version it came with", "version", "Since which version is it there?"),
    Kind("version it changed in", "version", "In which version did it change?"),
    Kind("default", "default", "What is the default of {}?"),
    Kind("error raised", "error", "Which error can it raise?"),
    Kind("shape", "shape", "What shape has {}?"),
    Kind("parameter after", "neighbour", "Which argument comes after {}?"),
    Kind("parameter before", "neighbour", "Which argument comes before {}?"),
    Kind("year of the reference", "year", "From which year is the reference?"),
    Kind("output of the example", "output", "What does the example print?"),
    Kind("function to see also", "see", "Which function is related?"),
)
HELD_OUT: dict[Split, tuple[str, ...]] = {
    "validation": ("choices", "version", "none"),
    "test": ("default", "error", "shape", "neighbour", "year", "output", "see"),
}
"""The families of each split; all others are meta-train's."""


def kinds_of(split: Split) -> list[int]:
    """Return the numbers of the kinds of ``split``."""
    held = {family: name for name, families in HELD_OUT.items() for family in families}
    return [i for i, kind in enumerate(KINDS) if held.get(kind.family, "train") == split]


def answers(text: str) -> list[Answer]:
    """Return every question of :data:`KINDS` that ``text``, a numpydoc docstring, answers."""
    return [one for one in _found(text) if one.end > one.start and text[one.start : one.end].strip()]


def _found(text: str) -> Iterator[Answer]:
    sections = _sections(text)
    if not sections:
        return
    first = min(start for start, _ in sections.values())
    summary = SENTENCE.search(text, 0, first)
    if summary and summary.start() < 200:
        yield Answer("the summary", "", *summary.span())
    yield from _parameters(text, sections)
    yield from _results(text, sections)
    yield from _about(text, sections)


def _parameters(text: str, sections: dict[str, tuple[int, int]]) -> Iterator[Answer]:
    held = _entries(text, sections, "Parameters")
    for number, (name, name_span, kind_span, body) in enumerate(held):
        subject = name.strip("*").split(",")[0]
        if number + 1 < len(held):
            yield Answer("parameter after", subject, *held[number + 1][1])
        if number:
            yield Answer("parameter before", subject, *held[number - 1][1])
        whole = (kind_span or body)[0], body[1]
        if kind_span:
            plain = _plain_type(text, kind_span)
            yield Answer("type of a parameter", subject, *plain)
            same = [1 for other in held if other[2] and _words(text, other[2]) == _words(text, kind_span)]
            if len(same) == 1:
                yield Answer("parameter of a type", text[slice(*plain)], *name_span)
            if match := CHOICES.search(text, *kind_span):
                yield Answer("choices", subject, *match.span())
        if match := DEFAULT.search(text, *whole):
            yield Answer("default", subject, *_trimmed(text, *match.span(1)))
        if match := SHAPE.search(text, *whole):
            yield Answer("shape", subject, *match.span(1))
        if match := SENTENCE.search(text, *body):
            yield Answer("what a parameter means", subject, *match.span())
        if match := IF_NONE.search(text, *body):
            yield Answer("if it is None", subject, *match.span(1))
    for name, _, kind_span, body in _entries(text, sections, "Attributes"):
        if kind_span:
            yield Answer("type of an attribute", name, *_plain_type(text, kind_span))
        if match := SENTENCE.search(text, *body):
            yield Answer("what an attribute holds", name, *match.span())


def _results(text: str, sections: dict[str, tuple[int, int]]) -> Iterator[Answer]:
    for _, name_span, kind_span, body in _entries(text, sections, "Returns")[:1]:
        yield Answer(
            "type of what is returned", "", *(_plain_type(text, kind_span) if kind_span else name_span)
        )
        if kind_span:
            yield Answer("name of the result", "", *name_span)
        if match := SENTENCE.search(text, *body):
            yield Answer("what is returned", "", *match.span())
    raised = _entries(text, sections, "Raises")
    for name, name_span, _, body in raised:
        if len(raised) == 1:
            yield Answer("error raised", "", *name_span)
        if match := SENTENCE.search(text, *body):
            yield Answer("when it is raised", name, *match.span())


def _about(text: str, sections: dict[str, tuple[int, int]]) -> Iterator[Answer]:
    for kind, pattern in (("version it came with", VERSION), ("version it changed in", CHANGED)):
        held = list(pattern.finditer(text))
        if len(held) == 1:
            yield Answer(kind, "", *_trimmed(text, *held[0].span(1)))
    for section, kind, pattern in (
        ("References", "year of the reference", YEAR),
        ("References", "title referred to", TITLE),
        ("References", "link", LINK),
        ("References", "author referred to", AUTHOR),
        ("Examples", "first example", CODE),
        ("Examples", "output of the example", OUTPUT),
        ("Notes", "the notes", SENTENCE),
    ):
        if section in sections and (match := pattern.search(text, *sections[section])):
            start, end = match.span(1) if pattern.groups else match.span()
            if pattern is not OUTPUT:  # signs at its end belong to it
                start, end = _trimmed(text, start, end)
            yield Answer(kind, "", start, end)
    for _, name_span, _, _ in _entries(text, sections, "See Also")[:1]:
        if not text[sections["See Also"][0] : name_span[0]].strip():  # else the first is no plain name
            yield Answer("function to see also", "", *name_span)


def _sections(text: str) -> dict[str, tuple[int, int]]:
    """Return where the body of each section starts and ends."""
    heads = list(HEADER.finditer(text))
    if not heads:
        return {}
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {head[1]: (head.end(), end) for head, end in zip(heads, ends, strict=True)}


Entry = tuple[str, tuple[int, int], tuple[int, int] | None, tuple[int, int]]
"""Name, its span, the span after the colon if there is one, and that of the indented text below."""


def _entries(text: str, sections: dict[str, tuple[int, int]], section: str) -> list[Entry]:
    if section not in sections:
        return []
    start, end = sections[section]
    heads = list(ENTRY.finditer(text, start, end))
    if not heads:
        return []
    ends = [head.start() for head in heads[1:]] + [end]
    return [
        (head[1], head.span(1), head.span(2) if head[2] else None, (head.end(), stop))
        for head, stop in zip(heads, ends, strict=True)
    ]


def _plain_type(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """Cut "optional" and the default off a type."""
    held = text[slice(*span)]
    cut = re.search(r",? *\(?(?:optional|default\b|keyword-only)", held)
    return span[0], span[0] + (cut.start() if cut and cut.start() else len(held.rstrip()))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while end > start and text[end - 1] in " .,;:`'\"\n":
        end -= 1
    return start, end


def _words(text: str, span: tuple[int, int]) -> str:
    return " ".join(text[slice(*span)].split()).lower()
