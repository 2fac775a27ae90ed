"""Passages as HTML: the true answer underlined, the answer found on a coloured ground; everything escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence

from metalab.answer_model import Found, overlap
from metalab.data.answered import Answered

WHOLE = 2400
"""Passages of no more characters are shown whole, longer ones around their answers."""
AROUND = 500
"""Characters shown before and after an answer of a long passage."""
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
    for start, end in _pieces(len(passage), list(spans.values())):
        parts += [_gap(start - at), _piece(passage, start, end, spans, judged)]
        at = end
    parts.append(_gap(len(passage) - at))
    return f"<div class='ml-passage' dir='auto'>{''.join(parts)}</div>"


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


def _pieces(length: int, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return which parts of a passage are shown, in order; they do not touch."""
    if length <= WHOLE:
        return [(0, length)]
    wanted = sorted((max(0, a - AROUND), min(length, b + AROUND)) for a, b in spans) or [(0, 2 * AROUND)]
    found = [wanted[0]]
    for start, end in wanted[1:]:
        if start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _gap(characters: int) -> str:
    return f"<i class='ml-gap'> [… {characters:,} characters …] </i>" if characters else ""
