"""Docstrings as plain text: without the marks, tables, code and cross-references of reStructuredText."""

from __future__ import annotations

import re

LEFT_OUT = {"see also", "references", "reference", "examples", "example", "doctests", "version", "usage"}
"""Sections that are not prose about the thing: other things, books, code."""
_SECTION = re.compile(
    r"(parameters|returns?|yields|raises|notes?|args|arguments|attributes|keyword arguments|other parameters|"
    r"methods|warns|warnings|see also|references?|examples?|doctests|usage|version|shape|inputs?|outputs?|"
    r"keyword args|explanation)\s*:{0,2}",
    re.IGNORECASE,
)
_UNDERLINE = re.compile(r"\s*([=\-~^\"'`#*+.])\1{2,}\s*")
_DIRECTIVE = re.compile(r"\s*\.\.(?:\s*[\w-]+::| \[| _| \w)")
_TABLE = re.compile(r"\s*([+|].*[+|]|[=\-]{2,}(\s+[=\-]{2,})+)\s*")
_PROMPT = re.compile(r"\s*(>>>|\.\.\. ?|In \[|\$ )")
_ROLE = re.compile(r":[\w:+-]+:`~?\.?([^`<]*?)(?:\s*<[^`>]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`>]+>`_{1,2}")
_FIELD = re.compile(r"^(\s*)[:@](param|type|return|returns|rtype|raise|raises|ivar|cvar|keyword)\b([^:]*):")
_WORD = {"param": "", "ivar": "", "cvar": "", "keyword": "", "raise": "raises", "return": "returns"}
_FENCE = re.compile(r"\s*(```|~~~)")


def plain(text: str) -> str:
    """Return ``text`` without markup, code and the sections of :data:`LEFT_OUT`; one line a paragraph."""
    kept: list[str] = []
    lines = text.expandtabs().split("\n")
    at, hidden_below = 0, -1
    fenced = skipping = False
    while at < len(lines):
        line = lines[at]
        at += 1
        indent = len(line) - len(line.lstrip())
        if _FENCE.match(line):
            fenced = not fenced
            continue
        if not line.strip():
            kept.append("")
            continue
        if hidden_below >= 0 and indent > hidden_below:
            continue  # the content of a directive or of a literal block
        hidden_below = -1
        if fenced:
            continue
        if _SECTION.fullmatch(line.strip()) and (
            line.rstrip().endswith(":") or (at < len(lines) and _UNDERLINE.fullmatch(lines[at]))
        ):
            title = line.strip().rstrip(":")
            skipping = title.lower() in LEFT_OUT
            kept += ["", "" if skipping else f"{title}:", ""]
            continue
        if skipping or _UNDERLINE.fullmatch(line) or _TABLE.fullmatch(line):
            continue
        if _DIRECTIVE.match(line):
            hidden_below = indent
            continue
        if _PROMPT.match(line):
            while at < len(lines) and lines[at].strip():
                at += 1  # what the prompt answers
            continue
        if line.rstrip().endswith("::"):
            hidden_below, line = indent, line.rstrip()[:-1]
        kept.append(_unmarked(line))
    return "\n".join(_paragraphs(kept))


def _unmarked(line: str) -> str:
    line = _FIELD.sub(lambda m: f"{m[1]}{_WORD.get(m[2], m[2])}{m[3]}:", line)
    line = _LINK.sub(r"\1", _ROLE.sub(r"\1", line))
    return re.sub(r"`{1,2}|\*\*|\\ ?|\s*\[[\w.]+\]_", "", line)


def _paragraphs(lines: list[str]) -> list[str]:
    """Return paragraphs, each as one line; a line that is less indented, or a list's item, starts one."""
    found: list[str] = []
    open_, before = False, 0
    for line in lines:
        told = " ".join(line.split())
        if not told:
            open_ = False
            continue
        indent = len(line) - len(line.lstrip())
        item = re.match(r"[-*•] |\d+[.)] |[\w*, ]{1,30} ?: ?\S", told)
        if open_ and indent >= before and not item:
            found[-1] += f" {told}"
        else:
            found.append(told)
        open_, before = True, indent
    return found
