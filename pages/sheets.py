"""The look of a task: its images by class, and what adaptation gained on it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.common import thumb, time_taken

if TYPE_CHECKING:
    from metalab.inspection import TaskView


def task_metrics(view: TaskView) -> None:
    """Show what adaptation gained on this task, how fast, and what chance would give."""
    before, after = (round(100 * view.stages[i].accuracy) for i in (0, -1))
    with st.container(horizontal=True, gap="medium"):  # on a phone two side by side
        st.metric(
            "Query right after adaptation",
            f"{after}%",
            f"{after - before:+} points" if after != before else None,
            help="The difference is to the frozen pre-trained features with the nearest class centroid, on "
            "the same task. One task says little: see the table over many tasks.",
            width="content",
        )
        st.metric("Frozen features, same task", f"{before}%", width="content")
        st.metric("Chance", f"{1 / len(view.classes):.0%}", width="content")
        st.metric(
            "Time to adapt and predict",
            time_taken(view.seconds),
            help=f"{int(view.support.sum())} support and {int((~view.support).sum())} query examples.",
            width="content",
        )


def sheets(view: TaskView, stage_name: str) -> None:
    """Show each class's support and query examples; frames tell which predictions are right."""
    from metalab.palette import RIGHT, WRONG, class_colours

    stage = view.stage(stage_name)
    good, said, sure = view.right(stage), stage.probabilities.argmax(1), stage.probabilities.max(1)
    query = np.flatnonzero(~view.support)
    rows = []
    for number, colour in enumerate(class_colours(len(view.classes))):
        name = view.classes[number]
        support = [
            thumb(view.images[i], colour, f"support example of {name}")
            for i in np.flatnonzero(view.support & (view.labels == number))
        ]
        judged = [
            thumb(
                view.images[point],
                RIGHT if good[i] else WRONG,
                f"predicted {view.classes[said[i]]}, {sure[i]:.0%} sure; is {name}",
                dashed=not good[i],
            )
            for i, point in enumerate(query)
            if view.labels[point] == number
        ]
        rows.append((name, support, judged))
    key = f"<span style='color:{RIGHT}'>solid</span>: right, <span style='color:{WRONG}'>dashed</span>: wrong"
    task_table(rows, f"Query set · {int(good.sum())} of {len(good)} right ({key})")


def task_table(rows: list[tuple[str, list[str], list[str]]], query_title: str = "Query set") -> None:
    """Show rows of (class name, support thumbnails, query thumbnails)."""
    body = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{''.join(support)}</td><td>{''.join(query)}</td></tr>"
        for name, support, query in rows
    )
    st.html(
        f"""<style>
        .ml-task {{border-collapse: collapse; width: 100%}}
        .ml-task th, .ml-task td {{border: 0; padding: 2px 10px 2px 0; text-align: left;
          vertical-align: middle; font-weight: normal}}
        .ml-task thead th {{font-weight: 600; padding-bottom: 6px; white-space: nowrap}}
        .ml-task tbody th {{font-size: 1.1em; max-width: 8em; overflow-wrap: anywhere}}
        .ml-task thead th:last-child {{white-space: normal}}
        .ml-task td:last-child {{width: 99%; padding-right: 0}}
        .ml-task img {{width: 38px; height: 38px; border-radius: 4px; margin: 1px;
          box-sizing: border-box; object-fit: contain}}
        .ml-task td:nth-child(2) {{min-width: {40 * min(5, max(len(row[1]) for row in rows))}px}}
        </style><div style="overflow-x: auto"><table class="ml-task"><thead><tr>
        <th>Class</th><th title="The few labelled examples that the model adapts to">Support set</th>
        <th title="Other examples of the same classes, to judge by">{query_title}</th>
        </tr></thead><tbody>{body}</tbody></table></div>"""
    )
