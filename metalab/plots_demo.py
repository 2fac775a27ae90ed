"""The two figures of the demo: large, few words."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from metalab.embeddings import Embedding
from metalab.inspection import TaskView
from metalab.palette import ERROR_BAR, INK, OTHER, OWN, class_colours
from metalab.plots import plain


def journey(view: TaskView, embedding: Embedding, stage: str) -> go.Figure:
    """Draw every drawing of the task as a dot, where ``stage`` puts it; colour is the symbol.

    The five examples are large diamonds. All stages have the same axes, so that a page which shows one stage
    after the other makes the dots travel.
    """
    points = embedding.coordinates[embedding.stages.index(stage)]
    low, high = embedding.coordinates.min((0, 1)), embedding.coordinates.max((0, 1))
    margin = 0.08 * float((high - low).max() or 1.0)
    figure = go.Figure()
    for number, colour in enumerate(class_colours(len(view.classes))):
        for example in (False, True):
            chosen = np.flatnonzero((view.labels == number) & (view.support == example))
            figure.add_trace(
                go.Scatter(
                    x=points[chosen, 0],
                    y=points[chosen, 1],
                    ids=[str(i) for i in chosen],
                    mode="markers",
                    name=f"symbol {number + 1}",
                    showlegend=not example,
                    legendgroup=str(number),
                    marker={
                        "color": colour,
                        "size": 20 if example else 11,
                        "symbol": "diamond" if example else "circle",
                        "line": {"width": 2 if example else 0, "color": INK},
                        "opacity": 1.0 if example else 0.8,
                    },
                    hovertemplate=f"symbol {number + 1}, {'the example' if example else 'a new drawing'}"
                    "<extra></extra>",
                )
            )
    hidden: dict[str, Any] = {"showgrid": False, "zeroline": False, "showticklabels": False}
    figure.update_xaxes(range=[float(low[0]) - margin, float(high[0]) + margin], **hidden)
    figure.update_yaxes(range=[float(low[1]) - margin, float(high[1]) + margin], **hidden)
    figure = plain(figure, height=340)
    return figure.update_layout(
        transition={"duration": 1500, "easing": "cubic-in-out"},
        margin_t=10,
        legend={"orientation": "h", "x": 0, "y": -0.02, "yanchor": "top", "font": {"size": 14}},
    )


def certainty_bars(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Draw rows of :func:`metalab.demonstration.certainty`, each with its name above its bar."""
    figure = go.Figure(
        go.Bar(
            x=[row["accuracy"] for row in rows],
            y=list(range(len(rows))),
            orientation="h",
            width=0.42,
            marker_color=[OWN if row["own"] else OTHER for row in rows],
            error_x={"array": [row["interval"] for row in rows], "color": ERROR_BAR, "thickness": 2},
            hovertemplate="%{x:.1%}<extra></extra>",
        )
    )
    for number, row in enumerate(rows):
        figure.add_annotation(
            x=0,
            y=number + 0.24,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            text=f"{html.escape(row['label'])}: <b>{row['accuracy']:.1%}</b>",
            font={"size": 15},
        )
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%", showgrid=True)
    figure.update_yaxes(showticklabels=False, showgrid=False, range=[-0.4, len(rows) - 0.3])
    figure = plain(figure, height=62 * len(rows) + 40)
    return figure.update_layout(margin_t=6)
