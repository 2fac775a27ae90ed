"""How far adaptation separates the classes, on one task and over many: figures and table rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from metalab.inspection import Separation
from metalab.palette import OTHER, OWN
from metalab.plots import plain
from metalab.separations import MEASURES


def score_rows(separation: Separation) -> list[dict[str, Any]]:
    """Return the numbers beside the picture as table rows, with what each one means."""
    before, after = separation.before, separation.after
    rows = [
        ("Silhouette", before.silhouette, after.silhouette, "-1…1: how far apart the classes lie"),
        (
            "k-NN accuracy",
            before.neighbour_accuracy,
            after.neighbour_accuracy,
            "0…1: neighbours are of the same class",
        ),
        (
            "Trustworthiness",
            before.trustworthiness,
            after.trustworthiness,
            "0…1: how truly the picture shows who is near whom",
        ),
        ("Linear CKA", None, separation.cka, "0…1: likeness of the features to those before; 1: unchanged"),
    ]
    return [
        {"measure": name, "before": first, "after": last, "meaning": meaning}
        for name, first, last, meaning in rows
    ]


def separation_change(result: Mapping[str, Any]) -> go.Figure:
    """Draw the result of :func:`metalab.separations.separations`: a line a task, and means with intervals."""
    rows = result["rows"]
    figure = make_subplots(1, max(1, len(rows)), subplot_titles=[MEASURES[row["measure"]] for row in rows])
    for column, row in enumerate(rows, start=1):
        pairs = np.array(row["values"], dtype=float)
        gaps = np.column_stack([pairs, np.full(len(pairs), np.nan)]).reshape(-1)
        figure.add_scatter(
            x=["before", "after", None] * len(pairs),
            y=gaps,
            mode="lines",
            line={"color": OTHER, "width": 0.8},
            opacity=0.35,
            hoverinfo="skip",
            name="one task",
            showlegend=column == 1,
            row=1,
            col=column,
        )
        means, halves = zip(row["before"], row["after"], strict=True)
        figure.add_scatter(
            x=["before", "after"],
            y=means,
            error_y={"array": halves, "thickness": 2, "width": 8},
            mode="lines+markers",
            line={"color": OWN, "width": 3},
            marker_size=10,
            name="mean, 95 % interval",
            hovertemplate="%{x}: %{y:.3f} ± %{error_y.array:.3f}<extra></extra>",
            showlegend=column == 1,
            row=1,
            col=column,
        )
    figure.update_xaxes(range=[-0.25, 1.25], showgrid=False)
    return plain(figure, 330).update_layout(legend={"orientation": "h", "x": 0, "y": -0.12, "yanchor": "top"})


def separation_rows(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the result of many tasks as table rows in words: mean ± half its 95 % interval."""
    rows = []
    for row in result["rows"]:
        (gain, half), words = row["difference"], "no clear change"
        if abs(gain) > (half or math.inf):
            words = "classes lie further apart" if gain > 0 else "classes lie closer together"
        rows.append(
            {
                "measure": MEASURES[row["measure"]],
                **{key: _pair(row[key]) for key in ("before", "after", "difference")},
                "in words": words,
            }
        )
    if result["cka"]:
        words = "likeness of the features before and after; 1: unchanged"
        blank = {"before": "", "after": "", "difference": ""}
        rows.append({"measure": "Linear CKA", **blank, "after": _pair(result["cka"]), "in words": words})
    return rows


def _pair(pair: Sequence[float | None]) -> str:
    mean, half = pair
    return f"{mean:.3f}" if half is None else f"{mean:.3f} ± {half:.3f}"
