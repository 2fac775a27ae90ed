"""How tasks and classes look: each application has its own ``show``."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping

import streamlit as st

from metalab.tasks import Task, TaskSource, seeded
from pages.common import thumbs
from pages.sheets import task_table

MOST_ROWS = 10
MOST_SHOWN = 48
"""Classes that a gallery shows, at most."""


def show_images(task: Task, names: Mapping[int, str]) -> None:
    """Show the support and query images of each class in a row."""
    from metalab.palette import class_colours

    rows = []
    for label, colour in enumerate(class_colours(task.way)[:MOST_ROWS]):
        name = names[int(task.classes[label])]
        support, query = (
            thumbs(part.x[part.y == label][:15].numpy(), colour, f"{role} example of {name}")
            for role, part in (("support", task.support), ("query", task.query))
        )
        rows.append((name, support, query))
    task_table(rows)
    if task.way > MOST_ROWS:
        st.caption(f"{MOST_ROWS} of {task.way} classes shown.")


def show_pictures(task: Task, names: Mapping[int, str]) -> None:
    """Show the support and query pictures with their masks or boxes."""
    from metalab.data.labelled import pictures_of
    from pages.pictureshow import cards, legend

    classes = [names[int(number)] for number in task.classes]
    legend(classes)
    for role, part in (("Support set", task.support), ("Query set", task.query)):
        st.markdown(f"**{role}**")
        cards([[(one.name, one, None)] for one in pictures_of(part, classes)], classes, role)


SHOW: dict[str, Callable[[Task, Mapping[int, str]], None]] = {
    "image-classification": show_images,
    "segmentation": show_pictures,
    "detection": show_pictures,
}


def gallery(source: TaskSource, ids: list[int], names: Mapping[int, str]) -> None:
    """Show an example of each class in ``ids``."""
    import torch

    shown = [ids[i * len(ids) // min(len(ids), MOST_SHOWN)] for i in range(min(len(ids), MOST_SHOWN))]
    images = source.draw(torch.tensor(shown), seeded("cpu", 0, "gallery")).numpy()
    figures = "".join(
        f"<figure>{thumb}<figcaption>{html.escape(names[number])}</figcaption></figure>"
        for number, thumb in zip(shown, thumbs(images, "transparent", "example"), strict=True)
    )
    st.html(
        """<style>
        .ml-gallery {display: flex; flex-wrap: wrap; gap: 6px}
        .ml-gallery figure {margin: 0; width: 58px; text-align: center}
        .ml-gallery img {width: 48px; height: 48px; border-radius: 4px; object-fit: contain}
        .ml-gallery figcaption {font-size: 0.75rem; overflow-wrap: anywhere; line-height: 1.1}
        </style>"""
        f'<div class="ml-gallery">{figures}</div>'
    )
    if len(ids) > len(shown):
        st.caption(f"{len(shown)} of {len(ids):,} classes shown.")
