"""Where the answered questions of *Questions* come from: embedded sources, a file, or a table typed here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

if TYPE_CHECKING:
    from metalab.data.answered import AnsweredSet
    from metalab.data.archives import Note
    from metalab.own_answers import AnswerTask

SAMPLE, STORIES, FILE, HERE = "Documentation", "Stories", "A file", "Typed here"
SHOT = "Answered questions that the model learns from: K of K-shot."
QUERY = 6
"""Questions of a held-out task to judge by."""
ANY = "any"
EXAMPLE = (
    ("timeout : how long to wait for an answer, in seconds. Usually 30.", "timeout?", "seconds"),
    ("max_size : the largest file that is read, in megabytes. Usually 50.", "max_size?", "megabytes"),
    ("rotate_after : age at which a log is put away, in days. Usually 7.", "rotate_after?", "days"),
    ("margin : free space around the page, in millimetres. Usually 12.", "margin?", "millimetres"),
    ("angle : how far the image is turned, in degrees. Usually 0.", "angle?", "degrees"),
    ("bandwidth : what the copy may use, in kilobytes a second. Usually 900.", "bandwidth?", "kilobytes"),
)
"""Rows that stand in the table at first: what is asked for is the unit."""


FIRST = {"documentation": "parameter after", "stories": "where a person went after"}
"""The kind that is shown first: anybody sees at once what is asked for. It is of middling difficulty."""
ABOUT = {
    "documentation": "Documentation of packages that took no part in any training (scikit-image, NetworkX), "
    "as installed here; the passages are cut to what the model reads at once.",
    "stories": "Made-up stories, another for each question. The ready model was trained on documentation: it "
    "has met no story, and none of these names and things.",
}


@st.cache_resource(show_spinner="Reading the documentation of installed packages …", max_entries=16)
def sampled(number: int, shot: int, kind: int | None, source: str) -> AnswerTask:
    """Return a held-out task; once, for all reruns."""
    from metalab.own_answers import sample_task

    return sample_task(number, shot, QUERY, kind, source=source)


@st.cache_resource(show_spinner="Reading the file …", max_entries=4)
def read_file(key: str, _content: bytes, name: str) -> AnsweredSet:
    """Read an uploaded file; once, for all reruns. Raises :class:`DataError`."""
    from metalab.data.answered import read_answered

    return read_answered(_content, name)


def answer_task(where: str) -> AnswerTask | None:
    """Let the user bring answered questions from ``where``; return the task, None until there is enough."""
    if where in (SAMPLE, STORIES):
        return _sample("stories" if where == STORIES else "documentation")
    return _file() if where == FILE else _typed()


def _sample(source: str) -> AnswerTask:
    from metalab.own_answers import held_out_kinds, meaning

    kinds: dict[int | str, str] = {ANY: "Any of them", **held_out_kinds(source)}
    row = st.columns([2, 1, 1, 1.4], vertical_alignment="bottom")
    kind = row[0].selectbox(
        "Kind of question",
        list(kinds),
        list(kinds.values()).index(FIRST[source]),
        format_func=kinds.__getitem__,
        key=f"answers-kind-{source}",
        help="What is asked for. The model is not told: a made-up word stands for it, and the examples show "
        "what it means. No training has met any of these kinds.",
    )
    shot = row[1].number_input("Examples", 1, 10, 5, key="answers-shot", help=SHOT)
    number = row[2].number_input(
        "Task", 0, 99_999, "min", key="answers-number", help="Its number in a fixed list of held-out tasks."
    )
    row[3].button(
        "Another task",
        icon=":material/shuffle:",
        width="stretch",
        on_click=lambda: st.session_state.update({"answers-number": (number + 1) % 100_000}),
    )
    st.caption(ABOUT[source])
    task = sampled(number, shot, None if kind == ANY else kind, source)
    word = task.support[0].question.split()[0]
    means = "what the answers show" if kind == ANY else f"*{meaning(kind, source)}*"
    st.markdown(
        f"Each question is **{word}** and what it is about. That word is made up and means {means} here; the "
        "model is told nothing but the answers below."
    )
    return task


def _file() -> AnswerTask | None:
    upload = st.file_uploader(
        "A file of answered questions",
        type=["json", "jsonl", "csv"],
        key="answers-file",
        help="SQuAD's JSON, or rows (JSON, JSON lines, CSV) with `passage`, `question` and `answer`; the "
        "answer is words of the passage, `start` says which place is meant if they stand there more often.",
    )
    if upload is None:
        st.caption("SQuAD .json, .jsonl or .csv. All questions of one kind; some teach, the others judge.")
        return None
    content = upload.getvalue()
    key = hashlib.sha256(content + upload.name.encode()).hexdigest()[:16]
    found = read_file(key, content, upload.name)
    st.markdown(f"**{len(found.items)} answered questions** in {upload.name.replace('`', '')}.")
    if not _remarks(found.notes, len(found.items), key):
        return None
    row = st.columns([1, 1.4, 2], vertical_alignment="bottom")
    shot = row[0].number_input("Examples", 1, 50, 5, key="answers-own-shot", help=SHOT)
    seed = st.session_state.setdefault("answers-seed", 0)

    def again() -> None:
        st.session_state["answers-seed"] += 1

    row[1].button(
        "Other examples",
        icon=":material/shuffle:",
        on_click=again,
        width="stretch",
        help="Draw anew which questions teach.",
    )
    return _divided(found, shot, seed)


def _typed() -> AnswerTask | None:
    from metalab.data.answered import from_rows

    state = st.session_state
    if "answers-table" not in state:  # the page was just opened: what was typed before is still there
        state["answers-base"] = state.get("answers-typed", [list(row) for row in EXAMPLE])
    table = st.data_editor(
        pd.DataFrame(state["answers-base"], columns=["passage", "question", "answer"], dtype=str),
        num_rows="dynamic",
        hide_index=False,
        width="stretch",
        key="answers-table",
        column_config={
            "passage": st.column_config.TextColumn("Passage", width="large"),
            "question": st.column_config.TextColumn("Question", width="small"),
            "answer": st.column_config.TextColumn("Answer", width="small", help="Words of the passage."),
        },
    )
    state["answers-typed"] = table.fillna("").to_numpy().tolist()
    row = st.columns([1, 3], vertical_alignment="bottom")
    shot = row[0].number_input("Examples", 1, 50, 4, key="answers-typed-shot", help=SHOT)
    row[1].caption(
        "The first rows teach, the others judge. Type over them, add rows below: here the unit is asked for. "
        "Leave an answer empty to say that the passage has none."
    )
    rows = list(_filled(state["answers-typed"]))
    if not rows:
        st.info("The table is empty: give a passage, a question and its answer.", icon=":material/info:")
        return None
    found = from_rows(iter(rows), "table")
    _remarks(found.notes, len(found.items))
    return _divided(found, shot, None)


def _filled(table: Sequence[Sequence[str]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the rows in which something stands, each with its name; they are counted as the table does."""
    for number, row in enumerate(table):
        if any(part.strip() for part in row):
            yield f"row {number}", dict(zip(("passage", "question", "answer"), row, strict=True))


def _remarks(notes: Sequence[Note], left: int, key: str | None = None) -> bool:
    """Show what is wrong with which rows; with ``key``, return whether the user goes on with the rest."""
    if not notes:
        return True
    rows = "1 row is" if len(notes) == 1 else f"{len(notes)} rows are"
    st.warning(f"{rows} left out.", icon=":material/report:")
    st.dataframe(
        pd.DataFrame([{"Where": one.where, "What": one.what} for one in notes]),
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(notes), 250),
    )
    if key is None or st.session_state.get("answers-went-on") == key:
        return True
    if st.button(f"Go on with the rest ({left})", icon=":material/arrow_forward:", type="primary"):
        st.session_state["answers-went-on"] = key
        st.rerun()
    return False


def _divided(found: AnsweredSet, shot: int, seed: int | None) -> AnswerTask:
    from metalab.own_answers import divide

    task = divide(found.items, shot, seed)
    if task.left_out:
        st.caption(
            f"{len(task.query)} questions judge; {task.left_out} more are not used here, to stay quick "
            "(`python -m metalab evaluate --application question-answering` uses all)."
        )
    return task
