"""Draw a task by hand: a few characters per class, then one to classify."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st
import torch

from metalab import palette, plots_adapt
from metalab.drawing import drawn_support, rasterise
from metalab.inspection import probabilities_along
from pages.canvas import board, drawings_of
from pages.common import chart, thumbs

if TYPE_CHECKING:
    from metalab.shipped import Trained
    from metalab.tasks import Examples


STYLE = """<style>
/* What the model says stays in sight while one draws, however many classes there are. */
[data-testid=stColumn]:has(.st-key-drawn-result) {position: sticky; top: 4rem; align-self: flex-start}
.ml-seen img {width: 40px; border-radius: 4px; margin: 1px}
</style>"""


def draw_a_task(model: Trained) -> tuple[Examples, list[str]] | None:
    """Show the board and what ``model`` makes of it; return support set and classes once they are drawn."""
    with st.container(horizontal=True):
        way = st.number_input("Classes", 2, 5, 2, key="draw-way", width=150)
        shot = st.number_input("Drawings per class", 1, 5, 1, key="draw-shot", width=150)
    st.caption(
        "Draw a character of your own for each class, then one of them again as the query. Only its shape "
        "counts: place and size are evened out. The model adapts again after every stroke."
    )
    st.html(STYLE)
    left, right = st.columns([5, 3], gap="medium")
    with left:
        drawn = board(way, shot)
    drawings = drawings_of(drawn, way, shot)
    missing = [name for name, held in drawings.items() if not any(held)]
    with right, st.container(key="drawn-result"):
        if missing:
            then = "" if drawn["query"] else ", then the query"
            st.info(f"Still to draw: {', '.join(missing)}{then}.", icon=":material/draw:")
            return None
        backbone = model.metalearner.backbone
        support, classes = drawn_support(drawings, backbone.size, backbone.channels)
        support = support.to(backbone.input_mean.device)
        if drawn["query"]:
            prediction(model, support, classes, drawn["query"])
        else:
            st.info("Adapted. Now draw the query.", icon=":material/draw:")
    return support, classes


def prediction(model: Trained, support: Examples, classes: list[str], strokes: list) -> None:
    """Show which class the drawn query is, how sure that is, and how it came about step by step."""
    backbone = model.metalearner.backbone
    image = rasterise(strokes, backbone.size, backbone.channels)
    x = torch.from_numpy(image)[None].to(support.x.device)
    along = {
        stage: rows[0]
        for stage, rows in probabilities_along(model.metalearner, support, len(classes), x).items()
    }
    last = next(reversed(along.values()))
    best = int(last.argmax())
    st.metric("Prediction", classes[best], f"{last[best]:.0%} sure", delta_color="off", delta_arrow="off")
    st.caption("As the model sees it: query, then support")
    seen = [thumbs(image[None], palette.OWN, "the query as the model sees it")]
    for number, colour in enumerate(palette.class_colours(len(classes))):
        held = support.x[support.y == number].cpu().numpy()
        seen.append(thumbs(held, colour, f"support example of {classes[number]}"))
    st.html(f"<div class='ml-seen'>{'&ensp;'.join(''.join(part) for part in seen)}</div>")
    chart(plots_adapt.chances(along, classes), "chances", "Probability of each class, step by step")
