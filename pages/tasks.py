"""Tasks: choose what to learn from, see the classes and tasks, and check that nothing leaks."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from metalab.applications import application
from metalab.config import Config
from metalab.splits import NAMES, Leakage, SplitSummary, summarise
from metalab.tasks import SPLITS, Split, TaskShape
from pages.common import WORDS, chart, errors_in_place
from pages.fields import application_field, open_form
from pages.forms import source_fields, task_fields
from pages.models import data_settings, source_of
from pages.taskpick import LARGEST, linked_task, no_such_task
from pages.taskview import GALLERY, SHOW, gallery

LABELS = {split: NAMES[split].capitalize() for split in SPLITS}
MEANING = {
    "train": "The many earlier tasks that meta-training learns from.",
    "validation": "Tasks of other classes, to see during training whether it carries over.",
    "test": "Tasks of yet other classes, kept for the final figures: held-out tasks.",
}


@st.cache_data(show_spinner="Counting …", max_entries=16)
def counted(config_json: str) -> tuple[dict[Split, SplitSummary], Leakage]:
    """Return the summary of the splits of a data configuration."""
    return summarise(source_of(config_json))


def task_number() -> int:
    """Let the user choose the number of a task, kept in the page's address as ``task``."""
    if "task-number" not in st.session_state:
        asked = st.session_state["asked-task"] = st.query_params.get("task", "0")
        st.session_state["task-number"] = linked_task(asked)
    no_such_task(st.session_state["asked-task"], st.session_state["task-number"])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.number_input(
            "Task number",
            0,
            LARGEST,
            key="task-number",
            width=150,
            help="Its number in a fixed list: the page's address names it, so it can be shared.",
        )
        st.button("Another task", icon=":material/shuffle:", on_click=next_task)
    st.query_params["task"] = str(number)
    return number


def next_task() -> None:
    """Go on to the next task of the list, at its end to the first."""
    st.session_state["task-number"] = (st.session_state["task-number"] + 1) % (LARGEST + 1)


def group_of(groups: Mapping[str, list[int]], split: Split) -> list[int]:
    """Let the user choose among ``groups``, if there are several; return the classes of what is chosen."""
    held = [i for ids in groups.values() for i in ids]
    if len(groups) < 2:
        return held
    everything = f"All {len(held):,}"
    words = {everything: everything} | {name: f"{name} · {len(ids):,}" for name, ids in groups.items()}
    chosen = st.selectbox(
        "Group",
        list(words),
        format_func=words.get,
        key=f"group-{split}",
        help="An alphabet. With *within*, all classes of a task come from one.",
    )
    return groups.get(chosen) or held


@st.fragment
@errors_in_place()
def look(config: Config) -> None:
    """Show tasks, classes, balance and leakage of one configuration."""
    settings = data_settings(config)
    source, (summaries, shared) = source_of(settings), counted(settings)
    held = [split for split in SPLITS if summaries[split].groups]
    if st.session_state.get("split") not in held:
        st.session_state["split"] = held[0]
    split = st.segmented_control(
        "Split",
        held,
        format_func=LABELS.get,
        required=True,
        key="split",
        help="Splits share no class.  \n"
        + "  \n".join(f"**{LABELS[split]}**: {MEANING[split]}" for split in held),
    )
    groups = source.groups(split)
    turned = config.rotations and config.source in ("glyphs", "omniglot") and split == "train"
    counted_so = " (a character turned by 90, 180 or 270 degrees counts as one more)" if turned else ""
    inside = f" in {len(groups)} groups" if len(groups) > 1 else ""
    amount = f"{summaries[split].n_classes:,} classes{counted_so}{inside}"
    st.caption(f"{MEANING[split]} {amount}.")
    tasks, classes, checks = st.tabs(["Sampled tasks", "Classes", "Balance and leakage"])
    with tasks, errors_in_place():
        shape = TaskShape(config.way, config.shot, config.query)
        SHOW[config.application](source, task_number(), split, shape)
    with classes:
        GALLERY.get(config.application, gallery)(source, group_of(groups, split), source.class_names(split))
    with checks:
        from metalab.plots_runs import class_balance

        (st.error if shared.found else st.success)(shared.words, icon=":material/shield:")
        st.markdown("**Class balance**", help="Every class should have about as many examples as another.")
        chart(class_balance(summaries), "balance", "Examples of each class in each split")
        turned = " Turned by 90, 180 and 270 degrees, each meta-train class counts as four."
        drawn = "Each example is drawn anew, so no class runs out of examples."
        turns = config.rotations and config.source == "glyphs"
        st.caption((drawn if source.endless else "") + (turned if turns else ""))


open_form("tasks")
st.title("Tasks")
st.caption(WORDS["task"])
left, right = st.columns([2, 3], gap="large")
with left, errors_in_place():
    chosen = application_field()
    if "way" not in application(chosen).unused:
        st.caption(WORDS["way"])
    config = Config.create(**({"application": chosen} | source_fields(chosen) | task_fields()))
    if st.button("Train on this", type="primary", icon=":material/play_arrow:", width="stretch"):
        st.session_state["go-view"] = "New run"
        st.switch_page("pages/train.py")
    with right:
        look(config)
