"""Figures of runs and their data: learning curves, one run or several, and the balance of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from metalab.history import History
from metalab.palette import OTHER, OWN, class_colours
from metalab.plots import plain
from metalab.splits import NAMES, SplitSummary
from metalab.tasks import Split

MOST_BARS = 40
"""Classes of a split that get a bar each; of more the chart shows how many classes have how many examples."""

MOST_LETTERS = 32
"""Letters of a run's name in a legend."""


def loss_curves(runs: Mapping[str, History]) -> go.Figure:
    """Draw the training loss of each run by name; before meta-training begins, that of pre-training."""
    return _curves(runs, "loss", "query loss")


def accuracy_curves(runs: Mapping[str, History]) -> go.Figure:
    """Draw training accuracy and, with a band for its 95 % interval, that on meta-validation."""
    figure = _curves(runs, "accuracy", "query accuracy, or what stands for it")
    for (name, history), colour in zip(runs.items(), _colours(runs), strict=True):
        looks = [event for event in history.of("validation") if event.get("accuracy") is not None]
        steps = [event["step"] for event in looks]
        values = np.array([event["accuracy"] for event in looks])
        spread = np.array([event.get("interval") or 0 for event in looks])
        group = {"legendgroup": f"{name} validation"}
        figure.add_scatter(
            x=[*steps, *steps[::-1]],
            y=[*(values + spread), *(values - spread)[::-1]],
            fill="toself",
            fillcolor=_pale(colour),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            **group,
        )
        figure.add_scatter(
            x=steps,
            y=values,
            customdata=spread,
            mode="lines+markers",
            name="held-out tasks (meta-validation, 95 % band)" if len(runs) == 1 else _short(name),
            line={"color": colour, "width": 2},
            hovertemplate="step %{x}: %{y:.1%} ± %{customdata:.1%}",
            showlegend=bool(looks),
            **group,
        )
    return figure.update_yaxes(tickformat=".0%", minallowed=0, maxallowed=1.02)


def _curves(runs: Mapping[str, History], key: str, title: str) -> go.Figure:
    begun = any(history.of("train") or history.of("validation") for history in runs.values())
    kind = "train" if begun else "pretrain"
    figure = go.Figure()
    for (name, history), colour in zip(runs.items(), _colours(runs), strict=True):
        steps, values = history.curve(kind, key)
        alone = len(runs) == 1
        figure.add_scatter(
            x=steps,
            y=values,
            mode="lines" if len(steps) > 1 else "markers",  # a line needs two points
            name="training tasks" if alone else _short(name),
            line={"color": OTHER if alone else colour, "width": 1.2},
            opacity=1 if alone or key == "loss" else 0.4,
            # Of several runs the held-out curve is the one that is named.
            showlegend=bool(steps) and (alone or key == "loss"),
        )
    unit = "meta-training step" if kind == "train" else "pre-training step"
    figure.update_xaxes(title_text=unit)
    figure.update_yaxes(title_text=title)
    figure = plain(figure, height=330 + 20 * max(0, len(runs) - 2))  # room for the names
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    return figure.update_layout(legend=legend, margin={"l": 10, "r": 10, "t": 50, "b": 10})


def _colours(runs: Mapping[str, History]) -> list[str]:
    return [OWN] if len(runs) == 1 else class_colours(len(runs))


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"


def _pale(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"


def class_balance(summaries: Mapping[Split, SplitSummary]) -> go.Figure:
    """Draw the number of examples of each class, a colour a split.

    With more than :data:`MOST_BARS` classes in a split: how many classes have how many examples, in bins
    where there are as many sizes.
    """
    held = {split: summary for split, summary in summaries.items() if summary.examples}
    each = max((len(summary.examples) for summary in held.values()), default=0) <= MOST_BARS
    unit = "pen lines (fonts) to draw from" if any(one.endless for one in held.values()) else "examples"
    sizes = [count for summary in held.values() for count in summary.examples.values()]
    bin_ = 1 if len(set(sizes)) <= MOST_BARS else max(1, round((max(sizes) - min(sizes)) / MOST_BARS))
    figure = go.Figure()
    for (split, summary), colour in zip(held.items(), class_colours(len(held)), strict=True):
        counts: dict[Any, int] = summary.examples
        if not each:
            values, numbers = np.unique(np.array(list(counts.values())) // bin_ * bin_, return_counts=True)
            counts = dict(zip(values.tolist(), numbers.tolist(), strict=True))
        figure.add_bar(x=list(counts), y=list(counts.values()), name=NAMES[split], marker_color=colour)
    if each:
        figure.update_yaxes(title_text=unit, rangemode="tozero")
        figure.update_xaxes(title_text="class", type="category")
    else:
        figure.update_yaxes(title_text="classes (logarithmic)", type="log", dtick=1)
        figure.update_xaxes(title_text=f"{unit} a class", tickformat="d")
    figure = plain(figure, height=300)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    return figure.update_layout(legend=legend, bargap=0.2)
