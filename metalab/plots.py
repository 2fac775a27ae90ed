"""Figures of training and evaluation, and what all figures share: plotly on a transparent ground.

Pages and notebooks share them. Their siblings: :mod:`metalab.plots_adapt` (one task's adaptation) and
:mod:`metalab.plots_features` (features before and after).
"""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

OWN, OTHER = "#3b82f6", "#94a3b8"
RIGHT, WRONG = "#16a34a", "#dc2626"
MAX_POINTS = 1000
"""Points per line; longer histories are averaged in equal parts."""
_CLASS_COLOURS = (
    "#3b82f6",
    "#f59e0b",
    "#10b981",
    "#ef4444",
    "#a855f7",
    "#06b6d4",
    "#ec4899",
    "#84cc16",
    "#f97316",
    "#6366f1",
)
SEQUENTIAL = [[0, "#e8f0fe"], [1, "#1d4ed8"]]
"""From nothing to much. Opaque, so that plotly can choose a text colour that is read on any ground."""
DIVERGING = [[0, "#0072b2"], [0.5, "#f4f4f5"], [1, "#d55e00"]]
"""From below zero (blue) to above (orange), told apart by everybody."""


def class_colours(way: int) -> list[str]:
    """Return ``way`` colours that differ on a light and on a dark ground."""
    if way <= len(_CLASS_COLOURS):
        return list(_CLASS_COLOURS[:way])
    tones = (colorsys.hls_to_rgb(i / way, (0.45, 0.62)[i % 2], 0.7) for i in range(way))
    return ["#" + "".join(f"{round(255 * part):02x}" for part in tone) for tone in tones]


def learning_curves(history: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Draw loss and accuracy over meta-training steps from the events of a run; empty: ``go.Figure()``."""
    train = [event for event in history if event.get("kind") == "train"]
    looks = [event for event in history if event.get("kind") == "validation"]
    if not train and not looks:
        pretraining = [event for event in history if event.get("kind") == "pretrain"]
        return _curves(pretraining, [], "pre-training step") if pretraining else go.Figure()
    return _curves(train, looks, "meta-training step")


def _curves(train: list[Mapping[str, Any]], looks: list[Mapping[str, Any]], unit: str) -> go.Figure:
    figure = make_subplots(1, 2, subplot_titles=("Loss", "Accuracy"), horizontal_spacing=0.09)
    for column, key in ((1, "loss"), (2, "accuracy")):
        steps, values = _thinned(train, key)
        line = {"color": OTHER, "width": 1.5}
        figure.add_trace(
            go.Scatter(
                x=steps, y=values, mode="lines", name="training tasks", line=line, showlegend=column == 2
            ),
            1,
            column,
        )
    if looks:
        error = {"array": [event.get("interval", 0) for event in looks], "thickness": 1, "width": 3}
        figure.add_trace(
            go.Scatter(
                x=[event["step"] for event in looks],
                y=[event["accuracy"] for event in looks],
                error_y=error,
                mode="lines+markers",
                name="held-out tasks (meta-validation, 95 % interval)",
                line={"color": OWN, "width": 2},
            ),
            1,
            2,
        )
    figure.update_xaxes(title_text=unit)
    figure.update_yaxes(title_text="query cross-entropy (nats)", row=1, col=1)
    figure.update_yaxes(tickformat=".0%", row=1, col=2)
    figure = plain(figure, height=360)
    return figure.update_layout(legend={"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"})


def _thinned(events: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    known = [(event["step"], event[key]) for event in events if event.get(key) is not None]
    if not known:
        return [], []
    array = np.array(known, dtype=float)
    if len(array) > MAX_POINTS:
        array = np.stack([part.mean(0) for part in np.array_split(array, MAX_POINTS)])
    return array[:, 0].tolist(), array[:, 1].tolist()


def evaluation_bars(evaluation: Mapping[str, Any]) -> go.Figure:
    """Draw the evaluation table of a run (its ``evaluation.json``), best on top, with 95 % intervals."""
    rows = sorted(evaluation["rows"], key=lambda row: row["accuracy"])
    labels = [row["label"] + (" (transductive)" if row["transductive"] else "") for row in rows]
    figure = go.Figure(
        go.Bar(
            x=[row["accuracy"] for row in rows],
            y=labels,
            orientation="h",
            marker_color=[OWN if row["kind"] == "metalearner" else OTHER for row in rows],
            error_x={"array": [row["interval"] for row in rows], "thickness": 1.5, "color": "#64748b"},
            text=[f"{row['accuracy']:.1%} ± {row['interval']:.1%}" for row in rows],
            textposition="inside",
            insidetextanchor="start",
            insidetextfont={"color": "white"},
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    figure.add_vline(1 / evaluation["way"], line={"dash": "dot", "color": "#888"})
    figure.add_annotation(
        x=1 / evaluation["way"], y=1, yref="paper", yanchor="bottom", text="chance", showarrow=False
    )
    figure.update_xaxes(range=[0, 1], tickformat=".0%", title_text="query accuracy on held-out tasks")
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
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#94a3b8", "activecolor": OWN},
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
