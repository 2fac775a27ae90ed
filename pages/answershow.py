"""How passages with answers are shown: as cards, the true answer underlined, the one found marked."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

if TYPE_CHECKING:
    from metalab.answer_model import Found
    from metalab.data.answered import Answered
    from metalab.own_answers import Judged

MOST, MOST_PAIRS = 6, 4
"""Passages shown at first, and as many before and after."""
LONGEST = 90
"""Characters of an answer that is quoted; in its passage it is whole."""
STYLE = """<style>
.ml-answers {display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr))}
.ml-answers section {min-width: 0}
.ml-answers header {font-size: .9rem; line-height: 1.4; margin-bottom: 4px; overflow-wrap: anywhere}
.ml-answers header span {opacity: .75}
.ml-passage {white-space: pre-wrap; unicode-bidi: plaintext; overflow-wrap: anywhere; padding: 8px 10px;
  border: 1px solid rgba(128, 128, 128, .35); border-radius: 8px; font-size: .82rem; line-height: 1.45}
.ml-passage u {text-decoration: underline 2px; text-underline-offset: 3px}
.ml-passage mark {color: inherit; border-radius: 3px; padding: 1px 0; background: rgba(31, 131, 214, .32)}
.ml-passage mark.wrong {background: rgba(213, 94, 0, .38)}
.ml-passage mark.partly {background: rgba(230, 159, 0, .38)}
.ml-gap {display: block; opacity: .6}
</style>"""


def legend() -> None:
    """Say what the marks mean."""
    st.html(
        f"{STYLE}<div class='ml-passage' style='border: 0; padding: 0'><u>the true answer</u> · "
        "<mark class='right'>found, right</mark> · <mark class='partly'>partly right</mark> · "
        "<mark class='wrong'>wrong</mark></div>"
    )


def answered_cards(items: Sequence[Answered], key: str) -> None:
    """Show answered questions; of many only the first, unless asked for all."""
    from metalab.passages import highlighted

    cells = [
        _cell(one.question, _said(one), highlighted(one.passage, one)) for one in _first(items, key, MOST)
    ]
    st.html(f"{STYLE}<div class='ml-answers'>{''.join(cells)}</div>")


def query_cards(judged: Judged, before: str) -> None:
    """Show what the baseline ``before`` and the adapted model find in each query passage, side by side."""
    from metalab.passages import VERDICTS, highlighted, verdict

    rows = (judged.row(before), judged.rows[0])
    titles = (f"Before · {rows[0].label}", f"After · {rows[1].label}, adapted")
    for number, truth in enumerate(_first(judged.task.query, "query", MOST_PAIRS)):
        cells = []
        for title, row in zip(titles, rows, strict=True):
            found = row.found[number]
            said = f"{VERDICTS[verdict(truth, found)]} · {answer_words(found)}"
            cells.append(_cell(title, said, highlighted(truth.passage, truth, found)))
        st.html(
            f"{STYLE}<p style='margin: 0 0 6px' dir='auto'><b>{html.escape(truth.question)}</b></p>"
            f"<div class='ml-answers'>{''.join(cells)}</div>"
        )


def found_card(passage: str, question: str, found: Found) -> None:
    """Show the answer found in a new passage."""
    from metalab.passages import highlighted

    cell = _cell(question, answer_words(found), highlighted(passage, found=found))
    st.html(f"{STYLE}<div class='ml-answers'>{cell}</div>")


def answer_words(found: Found) -> str:
    """Return what was found and how sure that is, in plain words."""
    if not found.text:
        return f"no answer found ({found.probability:.0%} sure)"
    return f"{_quoted(found.text)} ({found.probability:.0%} sure)"


def methods_table(judged: Judged) -> None:
    """Show every method's token F1 and share of exact answers, best first."""
    rows = sorted(judged.rows, key=lambda row: -row.f1)
    table = [
        {"Method": row.label, "Kind": row.kind, "Token F1": 100 * row.f1, "Exactly right": 100 * row.exact}
        for row in rows
    ]
    st.dataframe(
        pd.DataFrame(table),
        hide_index=True,
        width="stretch",
        column_config={
            "Token F1": st.column_config.NumberColumn(
                format="%.0f %%", help="Overlap of the words found with those of the answer, by place."
            ),
            "Exactly right": st.column_config.NumberColumn(format="%.0f %%"),
        },
    )
    best, own, count = judged.best(), judged.rows[0], len(judged.task.query)
    won = "The adapted model is the best one here." if best is own else (
        f"Here **{best.label}** does better than the adapted model."
    )  # fmt: skip
    st.caption(
        f"{won} All methods met the same {count} questions; one task is no proof: "
        "`python -m metalab evaluate --application question-answering` measures hundreds of tasks."
    )


def _said(one: Answered) -> str:
    return _quoted(one.answer) if one.end else "the passage has no answer"


def _quoted(text: str) -> str:
    words = " ".join(text.split())
    return f"“{textwrap.shorten(words, LONGEST, placeholder=' …')}”" if words else "a line break"


def _cell(title: str, said: str, passage: str) -> str:
    """Return a card; ``passage`` is HTML already."""
    words = f"<bdi>{html.escape(title)}</bdi><br><span><bdi>{html.escape(said)}</bdi></span>"
    return f"<section><header>{words}</header>{passage}</section>"


def _first(items: Sequence[Answered], key: str, most: int) -> Sequence[Answered]:
    """Return the first ``most`` of ``items``, or all if the user asks for them."""
    if len(items) > most and not st.toggle(f"Show all {len(items)}", key=f"answers-{key}-all"):
        return items[:most]
    return items
