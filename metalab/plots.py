"""Figures of evaluation and speed, and what all figures share: plotly on a transparent ground.

Pages and notebooks share them. Their siblings are called ``plots_…``: runs (training and its data), adapt
(one task's adaptation), features and separation (before and after), compare (methods and runs), demo.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from metalab.palette import ERROR_BAR, INK, OTHER, OWN


def evaluation_bars(evaluation: Mapping[str, Any]) -> go.Figure:
    """Draw the evaluation table of a run (its ``evaluation.json``), best on top, with 95 % intervals."""
    rows = sorted(evaluation["rows"], key=lambda row: row["accuracy"])
    metric = evaluation.get("metric", "accuracy")  # tables of earlier versions have none
    labels = [row["label"] + (" (transductive)" if row["transductive"] else "") for row in rows]
    figure = go.Figure(
        go.Bar(
            x=[row["accuracy"] for row in rows],
            y=labels,
            orientation="h",
            marker_color=[OWN if row["kind"] == "metalearner" else OTHER for row in rows],
            error_x={"array": [row["interval"] for row in rows], "thickness": 1.5, "color": ERROR_BAR},
            text=[f"{row['accuracy']:.1%} ± {row['interval']:.1%}" for row in rows],
            textposition="inside",
            insidetextanchor="start",
            insidetextfont={"color": "white"},
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    if metric == "accuracy":  # guessing has no such share of masks, boxes or words
        figure.add_vline(1 / evaluation["way"], line={"dash": "dot", "color": INK})
        figure.add_annotation(
            x=1 / evaluation["way"], y=1, yref="paper", yanchor="bottom", text="chance", showarrow=False
        )
    figure.update_xaxes(range=[0, 1], tickformat=".0%", title_text=f"query {metric} on held-out tasks")
    figure.update_yaxes(automargin=True)
    return plain(figure, height=120 + 42 * len(rows))


def thumbnail(image: NDArray[np.floating[Any]]) -> str:
    """Return ``image`` (C, H, W) in 0..1 as a PNG data URI; drawings (C = 1) are dark ink on paper."""
    from PIL import Image

    pixels = 1 - np.repeat(image, 3, axis=0) if len(image) == 1 else np.asarray(image)
    content = io.BytesIO()
    Image.fromarray((255 * pixels.transpose(1, 2, 0).clip(0, 1)).astype(np.uint8)).save(content, "PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def plain(figure: go.Figure, height: int) -> go.Figure:
    """Give ``figure`` a height in pixels and the look that all share: no ground, and a zoom that stays."""
    return figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        uirevision="keep",
        legend={"orientation": "v", "x": 1.01, "y": 1},
        hoverlabel={"align": "left"},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": OTHER, "activecolor": OWN},
    )


def growth_curves(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Draw how seconds and memory (MiB) of a meta-gradient grow with each size of the tasks.

    ``rows`` have ``grows`` (the size's name), ``value``, ``seconds`` and ``memory``.
    """
    names = list(dict.fromkeys(row["grows"] for row in rows))
    figure = make_subplots(2, len(names), shared_xaxes=True, vertical_spacing=0.08)
    for column, name in enumerate(names, start=1):
        own = [row for row in rows if row["grows"] == name]
        for line, (measure, title) in enumerate((("seconds", "seconds"), ("memory", "MiB")), start=1):
            figure.add_scatter(
                x=[row["value"] for row in own],
                y=[row[measure] for row in own],
                mode="lines+markers",
                line={"color": OWN},
                showlegend=False,
                row=line,
                col=column,
            )
            figure.update_yaxes(
                title=title if column == 1 else None, rangemode="tozero", row=line, col=column
            )
        figure.update_xaxes(title=name.replace("_", "-"), row=2, col=column)
    return plain(figure, 440)
