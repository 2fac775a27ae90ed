"""How tasks and classes look: each application has its own ``show``."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping

import streamlit as st

from metalab.tasks import Split, TaskShape, TaskSource, seeded, task_at
from pages.common import thumbs
from pages.sheets import task_table

LIST_SEED = 1
"""Seed of the fixed lists of tasks that Adapt shows, too: a number means the same task there."""
MOST_ROWS = 10
MOST_SHOWN = 48
"""Classes that a gallery shows, at most."""


def show_images(source: TaskSource, number: int, split: Split, shape: TaskShape) -> None:
    """Show the support and query images of each class of a task in a row."""
    from metalab.palette import class_colours

    task, names = task_at(source, number, split, shape, LIST_SEED), source.class_names(split)
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


def show_pictures(source: TaskSource, number: int, split: Split, shape: TaskShape) -> None:
    """Show the support and query pictures of a task with their masks or boxes."""
    from metalab.data.labelled import pictures_of
    from pages.pictureshow import cards, legend

    task, names = task_at(source, number, split, shape, LIST_SEED), source.class_names(split)
    classes = [names[int(number)] for number in task.classes]
    legend(classes)
    for role, part in (("Support set", task.support), ("Query set", task.query)):
        st.markdown(f"**{role}**")
        cards([[(one.name, one, None)] for one in pictures_of(part, classes)], classes, role)


def show_questions(source: TaskSource, number: int, split: Split, shape: TaskShape) -> None:
    """Show the support and query passages of a task with their answers underlined."""
    from metalab.data.questions import windows_at
    from pages.answershow import answered_cards

    task, names = task_at(source, number, split, shape, LIST_SEED), source.class_names(split)
    held = [one.answered() for one in windows_at(source, number, split, shape, LIST_SEED)]
    kind = names[int(task.classes[0])]
    st.markdown(
        f"What is asked for: **{kind}**. The model is not told: it reads a made-up word, and the examples."
        if split != "train"
        else f"Drawn for **{kind}**, or made up instead, as most tasks of meta-train are: then some "
        "word shows where the answer stands. Some ask in plain words; some passages lack the answer."
    )
    for role, part in (("Support set", held[: shape.shot]), ("Query set", held[shape.shot :])):
        st.markdown(f"**{role}**")
        answered_cards(part, f"task-{role}")


def show_events(source: TaskSource, number: int, split: Split, shape: TaskShape) -> None:
    """Show the ratings, or the impressions, of a user or a campaign."""
    from metalab.own_events import events_table

    task = task_at(source, number, split, shape, LIST_SEED)
    st.markdown(f"**{source.class_name(int(task.classes[0]))}**")
    later = ", later than the support set" if source.by_time else ""
    for role, part in (("Support set", task.support), (f"Query set{later}", task.query)):
        st.markdown(f"**{role}**")
        st.dataframe(events_table(source, part), hide_index=True, width="stretch", height=280)


def show_texts(source: TaskSource, number: int, split: Split, shape: TaskShape) -> None:
    """Show the pairs of texts of a task."""
    from metalab.candidates import as_pairs

    task = task_at(source, number, split, shape, LIST_SEED)
    st.markdown(f"**{source.class_name(int(task.classes[0]))}**")
    for role, part in (("Support set", task.support), ("Query set", task.query)):
        st.markdown(f"**{role}**")
        rows = [{"Read": pair.source, "Write": pair.target} for pair in as_pairs(part, source.vocabulary)]
        st.dataframe(rows, hide_index=True, width="stretch", height=min(38 + 35 * len(rows), 320))


SHOW: dict[str, Callable[[TaskSource, int, Split, TaskShape], None]] = {
    "image-classification": show_images,
    "segmentation": show_pictures,
    "detection": show_pictures,
    "question-answering": show_questions,
    "summarisation": show_texts,
    "translation": show_texts,
    "speech-recognition": show_images,
    "product-recommendation": show_events,
    "ad-recommendation": show_events,
}
"""Application → what shows a task of its sources by number."""


def kinds(source: TaskSource, ids: list[int], names: Mapping[int, str]) -> None:
    """List kinds of question with a plain wording."""
    rows = [{"Kind": names[i], "In plain words": source.wording(i)} for i in ids]
    st.dataframe(rows, hide_index=True, width="stretch")
    st.caption(
        "Kinds that resemble each other are never in two splits. Outside meta-train nobody asks in plain "
        "words: a made-up word stands for the kind."
    )


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


def listed(source: TaskSource, ids: list[int], names: Mapping[int, str]) -> None:
    """List users, or campaigns, with the number of their events."""
    rows = [{"Task": names[i], "Events": int(source.events.counts[i])} for i in ids]
    st.dataframe(rows, hide_index=True, width="stretch")


def counted_texts(source: TaskSource, ids: list[int], names: Mapping[int, str]) -> None:
    """List languages, or parts of packages, with the number of their pairs."""
    pairs = {group: len(held) for groups in source.pairs.values() for group, held in groups.items()}
    rows = [{"Group": names[i], "Pairs": pairs[names[i]]} for i in ids]
    st.dataframe(rows, hide_index=True, width="stretch")


GALLERY = {
    "summarisation": counted_texts,
    "translation": counted_texts,
    "question-answering": kinds,
    "product-recommendation": listed,
    "ad-recommendation": listed,
}
"""Application → what shows its classes, where that is not :func:`gallery`."""
