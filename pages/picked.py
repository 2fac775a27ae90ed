"""What can be picked from a picture of features: the examples in a lasso, and files to take away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from metalab import palette, plots_features
from pages.common import download, thumbs

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from metalab.embeddings import Embedding
    from metalab.inspection import TaskView

LIST = 60
"""Selected examples shown as pictures, at most."""


def selected(view: TaskView, points: list[int]) -> None:
    """Show the examples in the lasso or box as pictures; the frame's colour is the class."""
    if not points:
        st.caption(
            ":material/lasso_select: Draw a lasso or a box (icons at the picture's top) to list examples."
        )
        return
    colours, last = palette.class_colours(len(view.classes)), view.stages[-1]
    right = dict(zip((~view.support).nonzero()[0].tolist(), view.right(last), strict=True))
    wrong = sum(not right.get(point, True) for point in points)
    st.markdown(f"**{len(points)} examples selected**, {wrong} of them wrong after adaptation:")
    shown = []
    for point in points[:LIST]:
        name = view.classes[view.labels[point]]
        words = "support" if point not in right else "right" if right[point] else "wrong"
        shown += thumbs(view.images[point][None], colours[view.labels[point]], f"{name}: {words}")
    st.html(
        "<style>.ml-picked img {width: 44px; height: 44px; border-radius: 4px; margin: 2px}</style>"
        f"<div class='ml-picked'>{''.join(shown)}</div>"
    )
    if len(points) > LIST:
        st.caption(f"The first {LIST} are shown.")


def export(figure: go.Figure, view: TaskView, embedding: Embedding) -> None:
    """Offer the picture as PNG, SVG, HTML and CSV."""
    st.segmented_control(
        "Camera button saves",
        ["PNG", "SVG"],
        default="PNG",
        required=True,
        key="image",
        help="The camera is among the icons at the picture's top.",
    )
    download(
        st,
        "HTML, interactive",
        lambda: figure.to_html(include_plotlyjs=True).encode(),
        "features.html",
        "text/html",
        width="stretch",
    )
    download(
        st,
        "CSV, a row per example",
        lambda: pd.DataFrame(plots_features.feature_rows(view, embedding)).to_csv(index=False).encode(),
        "features.csv",
        "text/csv",
        width="stretch",
    )
