"""Passages as HTML: the true answer underlined, the answer found on a coloured ground; everything escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence

from metalab.answer_model import Found, overlap
from metalab.data.answered import Answered

WHOLE = 600
"""Passages of no more characters are shown whole, longer ones around their answers: they stay in sight."""
AROUND = 120
"""Characters shown before and after an answer of a long passage, then on to the line's end if it is near."""
NEAR = 100
"""So near is near, in characters; and fewer are not left out."""
VERDICTS = {"right": "✓ right", "partly": "≈ partly right", "wrong": "✗ wrong", "unjudged": ""}
"""How an answer is judged: its class in the page's style, and the words that stand beside it."""


def highlighted(passage: str, truth: Answered | None = None, found: Found | None = None) -> str:
    """Return ``passage`` as HTML with the answer of ``truth`` underlined and that of ``found`` marked.

    Of a long passage the parts around the answers are shown, and how many characters are not. Its lines have
    the direction of their own script.
    """
    answers = {"true": truth, "found": found}
    spans = {name: (one.start, one.end) for name, one in answers.items() if one is not None and one.end}
    judged = verdict(truth, found) if truth is not None and found is not None else "unjudged"
    parts, at = [], 0
    for start, end in _pieces(passage, list(spans.values())):
        parts += [_gap(start - at), _piece(passage, start, end, spans, judged)]
        at = end
    parts.append(_gap(len(passage) - at))
    return f"<div class='ml-passage' dir='auto'>{''.join(parts).lstrip()}</div>"


def verdict(truth: Answered, found: Found) -> str:
    """Return "right", "partly" or "wrong" (:data:`VERDICTS`)."""
    share = overlap(found, truth)
    return "right" if share == 1 else "partly" if share > 0 else "wrong"


def _piece(passage: str, start: int, end: int, spans: dict[str, tuple[int, int]], judged: str) -> str:
    """Return passage[start:end], cut where an answer begins or ends."""
    cuts = {start, end, *(cut for span in spans.values() for cut in span if start < cut < end)}
    parts = []
    for first, last in zip(sorted(cuts)[:-1], sorted(cuts)[1:], strict=True):
        words = html.escape(passage[first:last])
        inside = {name for name, span in spans.items() if span[0] <= first and last <= span[1]}
        if "true" in inside:
            words = f"<u title='the answer'>{words}</u>"
        if "found" in inside:
            words = f"<mark class='{judged}' title='found'>{words}</mark>"
        parts.append(words)
    return "".join(parts)


def _pieces(passage: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return which parts of ``passage`` are shown, in order; they do not touch."""
    length = len(passage)
    if length <= WHOLE:
        return [(0, length)]
    wanted = sorted(_widened(passage, *span) for span in spans) or [_widened(passage, 0, WHOLE // 2)]
    found = [wanted[0]]
    for start, end in wanted[1:]:
        if start <= found[-1][1] + NEAR:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _widened(passage: str, start: int, end: int) -> tuple[int, int]:
    """Return the span with what stands around it, to where lines begin and end if that is near."""
    first, last = max(0, start - AROUND), min(len(passage), end + AROUND)
    begin = passage.rfind("\n", max(0, first - NEAR), first) + 1
    stop = passage.find("\n", last, last + NEAR)
    stop = stop if stop >= 0 else last
    begin = begin or first
    return begin if begin > NEAR else 0, stop if len(passage) - stop > NEAR else len(passage)


def _gap(characters: int) -> str:
    return f"<i class='ml-gap'> [… {characters:,} characters …] </i>" if characters else ""
