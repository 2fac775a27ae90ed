"""How written texts are shown: before and after side by side, differences and copied words marked."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from metalab.own_texts import JudgedTexts
    from metalab.written_model import Mark, Written

MOST = 6
"""Query texts shown at first."""
LONGEST = 120
"""Characters of another candidate."""
STYLE = """<style>
.ml-texts {display: grid; gap: 14px; margin-bottom: 14px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr))}
.ml-texts section {min-width: 0; padding: 8px 10px; border: 1px solid rgba(128, 128, 128, .35);
  border-radius: 8px; font-size: .9rem; line-height: 1.5}
.ml-texts small {display: block; opacity: .75}
.ml-texts p {margin: 0; white-space: pre-wrap; unicode-bidi: plaintext; overflow-wrap: anywhere}
.ml-texts mark {color: inherit; border-radius: 3px; padding: 1px 0}
.ml-texts ins {text-decoration: none; border-radius: 3px; background: rgba(0, 158, 115, .35)}
.ml-texts del {border-radius: 3px; background: rgba(213, 94, 0, .35)}
</style>"""


def query_cards(held: JudgedTexts) -> None:
    """Show each query text, what is written for it before and after, and the true text."""
    count = len(held.after)
    every = count <= MOST or st.toggle(f"Show all {count}", key="texts-all")
    cards = []
    for number in range(count if every else MOST):
        pair, before, after = held.task.query[number], held.before[number], held.after[number]
        cards.append(
            "<div class='ml-texts'>"
            + _cell("Read · copied words marked", marked(after.source, after.copied), told(after))
            + _cell("True text", html.escape(pair.target))
            + _cell("Before · no example", changed(pair.target, before.text), sure(before))
            + _cell("After · adapted", changed(pair.target, after.text), sure(after))
            + "</div>"
        )
    st.html(
        f"{STYLE}<div class='ml-texts' style='display: block'>Against the true text: <del>missing</del> · "
        f"<ins>too much</ins></div>{''.join(cards)}"
    )


def new_cards(before: Written, after: Written, mattered: Sequence[Mark]) -> None:
    """Show what is written for a new text, and which of its words mattered."""
    st.html(
        f"{STYLE}<div class='ml-texts'>"
        + _cell("Read · copied words marked", marked(after.source, after.copied), told(after))
        + _cell("Read · what mattered most", marked(after.source, mattered))
        + _cell("Before · no example", html.escape(before.text), sure(before))
        + _cell("After · against before", changed(before.text, after.text), sure(after))
        + _cell("After · words copied from the text", marked(after.text, after.taken_source))
        + _cell("After · words copied from examples", marked(after.text, after.taken_examples))
        + "</div>"
    )
    if after.candidates:
        others = ", ".join(f"{shortened(text)} ({chance:.0%})" for text, chance in after.candidates)
        st.caption("Other candidates: " + others.replace("$", "\\$"))


def marked(source: str, marks: Sequence[Mark]) -> str:
    """Return ``source`` as HTML, each mark on a ground as strong as its share; everything escaped."""
    parts, at = [], 0
    for mark in marks:
        parts.append(html.escape(source[at : mark.start]))
        ground = f"background: rgba(31, 131, 214, {0.1 + 0.5 * mark.share:.2f})"
        words = html.escape(source[mark.start : mark.end])
        parts.append(f"<mark style='{ground}' title='{mark.share:.0%}'>{words}</mark>")
        at = mark.end
    return "".join(parts) + html.escape(source[at:])


def changed(before: str, after: str) -> str:
    """Return what differs between two texts as HTML."""
    from metalab.differences import differences

    tags = {"removed": "del", "added": "ins"}
    parts = []
    for piece in differences(before, after):
        words, tag = html.escape(piece.text), tags.get(piece.kind)
        parts.append(f"<{tag}>{words}</{tag}>" if tag else words)
    return "".join(parts)


def shortened(text: str) -> str:
    """Return the beginning of ``text``, or that there is nothing."""
    return (text if len(text) <= LONGEST else f"{text[:LONGEST]} …") or "(nothing)"


def sure(one: Written) -> str:
    """Return how likely each sub-word was, and whether the text was cut."""
    return f"{one.probability:.0%} sure" + ("" if one.ended else " · cut: no more is written")


def told(one: Written) -> str:
    """Return what share was copied from where, and what was not read."""
    words = f"copied: {one.from_source:.0%} from it, {one.from_examples:.0%} from examples"
    return words + (f" · its last {one.unread} characters are not read" if one.unread else "")


def _cell(title: str, body: str, said: str = "") -> str:
    """Return a card; ``body`` is HTML already."""
    below = f"<small>{html.escape(said)}</small>" if said else ""
    return f"<section><small>{html.escape(title)}</small><p dir='auto'>{body or '–'}</p>{below}</section>"
