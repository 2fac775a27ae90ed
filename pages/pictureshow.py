"""How pictures with masks and boxes are shown: as cards of images, with words beside each."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import streamlit as st

from pages.common import time_taken

if TYPE_CHECKING:
    from metalab.data.annotation import Picture
    from metalab.own_pictures import Adapted
    from metalab.picture_model import Prediction

SIDE = 320
"""Longer side of a picture on the page, in pixels of its image."""
WIDTH, WIDER = 124, 200
"""Least width of a picture on the page, where there is room; the latter where no more than two are beside
each other."""
MOST = 8
"""Pictures shown at first."""
Cell = tuple[str, "Picture", "Sequence[float] | None"]
"""A title, a picture with its objects, and how sure each is."""
STYLE = """<style>
.ml-legend {display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: .875rem}
.ml-legend span span {display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: 6px}
.ml-cards {display: grid; gap: 14px}
.ml-card {display: flex; gap: 6px; min-width: 0}
.ml-card figure {margin: 0; flex: 1 1 0; min-width: 0; max-width: 240px}
.ml-card img {width: 100%; border-radius: 6px; display: block}
.ml-card figcaption {font-size: .8rem; line-height: 1.3; margin-top: 2px; overflow-wrap: anywhere}
.ml-card figcaption span {opacity: .7}
</style>"""


def legend(classes: Sequence[str]) -> None:
    """Show which colour each class has."""
    from metalab.palette import class_colours

    chips = "".join(
        f"<span><span style='background:{colour}'></span>{html.escape(name)}</span>"
        for name, colour in zip(classes, class_colours(len(classes)), strict=True)
    )
    st.html(f"{STYLE}<div class='ml-legend'>{chips}</div>")


def cards(rows: Sequence[Sequence[Cell]], classes: Sequence[str], key: str) -> None:
    """Show ``rows`` of pictures, each row a card; of many only the first, unless asked for all."""
    shown = rows
    if len(rows) > MOST and not st.toggle(f"Show all {len(rows)}", key=f"{key}-all"):
        shown = rows[:MOST]
    body = "".join(f"<div class='ml-card'>{''.join(_figure(c, classes) for c in row)}</div>" for row in shown)
    beside = max((len(row) for row in shown), default=1)
    least = beside * (WIDTH if beside > 2 or len(shown) > MOST else WIDER)  # three fit a phone
    share = 45 if beside == 1 else 100  # of single ones, two
    columns = f"grid-template-columns: repeat(auto-fit, minmax(min({share}%, {least}px), 1fr))"
    st.html(f"{STYLE}<div class='ml-cards' style='{columns}'>{body}</div>")


def _figure(cell: Cell, classes: Sequence[str]) -> str:
    from metalab.plots_pictures import data_url, described, overlay

    title, picture, scores = cell
    words = html.escape(described(picture, scores), quote=True)
    said, name = html.escape(title, quote=True), html.escape(picture.name, quote=True)
    url = data_url(overlay(picture, classes, scores, SIDE))
    return (
        f"<figure><img src='{url}' alt='{name}, {said}: {words}' title='{name}'>"
        f"<figcaption>{said}<br><span>{words}</span></figcaption></figure>"
    )


def support_cards(pictures: Sequence[Picture], classes: Sequence[str]) -> None:
    """Show the labelled pictures that the model learns from."""
    cards([[(PurePosixPath(one.name).name, one, None)] for one in pictures], classes, "support")


def too_small(adapted: Adapted) -> None:
    """Say which labelled objects are too small to be seen."""
    from metalab.data import TARGETS
    from metalab.data.labelled import unseen

    task, model = adapted.task, adapted.after
    pictures = [*task.support, *task.query]
    if notes := unseen(pictures, task.classes, model.size, TARGETS[model.application]):
        more = f" And in {len(notes) - 3} more pictures." if len(notes) > 3 else ""
        words = "; ".join(f"{note.where}: {note.what}" for note in notes[:3])
        st.warning(f"Too small to be seen: {words}.{more} Cut them out larger.", icon=":material/zoom_in:")


def query_cards(adapted: Adapted, before: Sequence[Prediction], after: Sequence[Prediction]) -> None:
    """Show what is found in each query picture before and after adaptation, and its labels if known."""
    rows = []
    for picture, first, last in zip(adapted.task.query, before, after, strict=True):
        truth: list[Cell] = [("Labels", picture, None)] if adapted.task.known else []
        rows.append([*truth, ("Before", first.picture, first.scores), ("After", last.picture, last.scores)])
    cards(rows, adapted.task.classes, "query")


def metrics(adapted: Adapted, scores: tuple[float, float] | None) -> None:
    """Show how well things are found, if that is known, and how long adapting took."""
    masks = adapted.after.application == "segmentation"
    name = "Mean IoU" if masks else "AP50"
    words = (
        "**Mean IoU**: the pixels that prediction and label share, over those that either has, averaged "
        "over the classes. 100 % is perfect."
        if masks
        else "**AP50**: the average precision of boxes over all confidences; a box counts as found when it "
        "shares half its area with the labelled one (COCO). 100 % is perfect."
    )
    with st.container(horizontal=True, gap="medium"):  # on a phone two side by side
        if scores is not None:
            before, after = (round(100 * one) for one in scores)
            gain = f"{after - before:+} points" if after != before else None
            said = f"{words} The difference is to *before*, on the same pictures."
            st.metric(f"{name} after", f"{after}%", gain, help=said, width="content")
            st.metric(
                f"{name} before",
                f"{before}%",
                help="Frozen pre-trained features and the nearest mean pixel: without any meta-learning.",
                width="content",
            )
        st.metric(
            "Time to adapt",
            time_taken(adapted.seconds),
            help=f"Reading the labelled pictures, once. All pictures are looked at in {adapted.after.size}×"
            f"{adapted.after.size} pixels"
            + (
                "."
                if adapted.task.size
                else ": there the labelled objects are as large as those of meta-training."
            ),
            width="content",
        )
