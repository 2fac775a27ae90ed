"""Placeholders of interface texts, which translations keep: ``%(name)s``, ``%d``, ``{x}``, ``<b>``."""

from __future__ import annotations

import re
from collections import Counter

MOST = 4
"""Placeholders that a sentence about them names."""

_PATTERN = re.compile(
    r"""
    (?P<percent>%%)
    | (?P<named>%\([^()\s]{1,100}\)[#0+-]*\d*(?:\.\d+)?[a-zA-Z])
    | (?<!\d)%(?:\d+\$)?(?P<printf>[#0+-]*\d*(?:\.\d+)?l{0,2}[sdiufgexXrc@])(?![a-zA-Z])
    | (?P<brace>\{[\w.\[\]]{0,100}(?:![rsa])?(?::[^{}\s]{0,100})?\})
    | <(?P<tag>/?[A-Za-z][\w:-]{0,50})(?:\s[^<>]*)?/?>
    """,
    re.VERBOSE,
)


def placeholders(text: str) -> Counter[str]:
    """Count the placeholders of ``text``; of a tag only its name counts, of ``%1$s`` not its place."""
    found: Counter[str] = Counter()
    for match in _PATTERN.finditer(text):
        kind = match.lastgroup
        if kind == "printf":
            found[f"%{match[kind]}"] += 1
        elif kind == "tag":
            found[f"<{match[kind]}>"] += 1
        elif kind != "percent":  # %% is a sign, no placeholder
            found[match[kind]] += 1
    return found


def unbalanced(source: str, target: str) -> str:
    """Return in words which placeholders of ``source`` lack in ``target`` or are new there; "" for none."""
    ours, theirs = placeholders(source), placeholders(target)
    said = []
    for left, words in ((ours - theirs, "missing in the target"), (theirs - ours, "only in the target")):
        if left:
            names = sorted(left)
            more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
            said.append(f"{', '.join(names[:MOST])}{more} {'is' if len(names) == 1 else 'are'} {words}")
    return "; ".join(said)
