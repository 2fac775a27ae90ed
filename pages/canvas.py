"""The board on which a task is drawn by hand: a component of this app, in canvas.js and canvas.css."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

_FOLDER = Path(__file__).parent
_board = st.components.v2.component(
    "metalab_board",
    html="<div class='board'></div>",
    css=(_FOLDER / "canvas.css").read_text(),
    js="\n".join((_FOLDER / name).read_text() for name in ("elements.js", "canvas.js")),
)


def board(way: int, shot: int) -> dict[str, Any]:
    """Show ``shot`` pads for each of ``way`` classes and one for the query; return what is drawn on it.

    ``names`` (way), ``drawings`` {"class-number": strokes} and ``query`` strokes, kept for the session.
    """
    kept = st.session_state.get("drawn-board")
    drawn = _board(
        key="board", data={"way": way, "shot": shot, "board": kept}, on_board_change=lambda: None
    ).board
    if drawn is not None:
        st.session_state["drawn-board"] = kept = drawn
    return kept or {"names": [], "drawings": {}, "query": []}


def drawings_of(drawn: dict[str, Any], way: int, shot: int) -> dict[str, list[Any]]:
    """Return the drawings on the board by class name, classes in order; unnamed ones get a number."""
    found: dict[str, list[Any]] = {}
    for row in range(way):
        given = drawn["names"][row] if row < len(drawn["names"]) else chr(65 + row)
        name = str(given or "").strip() or f"class {row + 1}"
        if name in found:
            name = f"{name} ({row + 1})"
        found[name] = [drawn["drawings"].get(f"{row}-{column}", []) for column in range(shot)]
    return found
