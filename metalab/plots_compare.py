"""Figures that put runs and methods side by side, for pages, reports and notebooks."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import plotly.graph_objects as go

from metalab.comparison import Entry
from metalab.palette import ERROR_BAR, INK, OTHER, OWN, class_colours
from metalab.plots import plain

Cost = Literal["step_seconds", "adapt_milliseconds"]
COSTS: dict[Cost, str] = {
    "step_seconds": "seconds a step of meta-training",
    "adapt_milliseconds": "ms to adapt and predict",
}
_ROW = 24
"""Pixels a row of names takes."""


def gains(entries: Sequence[Entry]) -> go.Figure:
    """Draw each meta-learner's paired difference to the best baseline on the same tasks, in points.

    A filled dot lies beyond its 95 % interval; a square is transductive. Best on top.
    """
    rows = sorted((row for row in entries if row.gain is not None), key=lambda row: row.gain or 0.0)
    sure = [abs(row.gain or 0) > (row.gain_interval or 0) for row in rows]
    figure = go.Figure(
        go.Scatter(
            x=[100 * (row.gain or 0) for row in rows],
            y=[_short(row.name) for row in rows],
            mode="markers",
            error_x={
                "array": [100 * (row.gain_interval or 0) for row in rows],
                "color": ERROR_BAR,
                "thickness": 1.5,
                "width": 3,
            },
            marker={
                "size": 11,
                "color": [OWN if row.gain and row.gain > 0 else OTHER for row in rows],
                "symbol": [
                    ("square" if row.transductive else "circle") + ("" if beyond else "-open")
                    for row, beyond in zip(rows, sure, strict=True)
                ],
                "line": {"width": 2, "color": [OWN if row.gain and row.gain > 0 else OTHER for row in rows]},
            },
            customdata=[[row.name, row.baseline, 100 * (row.gain_interval or 0)] for row in rows],
            hovertemplate="%{customdata[0]}<br>%{x:+.1f} ± %{customdata[2]:.1f} points against "
            "%{customdata[1]}<extra></extra>",
        )
    )
    figure.add_vline(0, line={"color": INK, "dash": "dot"})
    figure.update_xaxes(title_text="points over the best baseline", zeroline=False)
    return _named(figure, len(rows))


def leaderboard(entries: Sequence[Entry]) -> go.Figure:
    """Draw every row's accuracy with its 95 % interval, best on top; the line is the best baseline."""
    rows = sorted(entries, key=lambda row: row.accuracy)
    figure = go.Figure(
        go.Scatter(
            x=[row.accuracy for row in rows],
            y=[_short(row.name) for row in rows],
            mode="markers",
            error_x={"array": [row.interval for row in rows], "color": ERROR_BAR, "thickness": 1.5},
            marker={
                "size": 11,
                "color": [OWN if row.kind == "metalearner" else OTHER for row in rows],
                "symbol": [
                    "diamond" if row.kind == "baseline" else "square" if row.transductive else "circle"
                    for row in rows
                ],
            },
            customdata=[[row.name, 100 * row.interval] for row in rows],
            hovertemplate="%{customdata[0]}<br>%{x:.1%} ± %{customdata[1]:.1f} points<extra></extra>",
        )
    )
    best = max((row.accuracy for row in rows if row.kind == "baseline"), default=None)
    if best is not None:
        figure.add_vline(best, line={"color": INK, "dash": "dot"})
    figure.update_xaxes(tickformat=".0%", title_text="query accuracy; dotted: the best baseline")
    return _named(figure, len(rows))


def cost_scatter(entries: Sequence[Entry], cost: Cost) -> go.Figure:
    """Draw accuracy against what it costs (logarithmic); up and to the left is better."""
    figure = go.Figure()
    groups = (
        ("judges each example alone", False, "circle", OWN),
        ("transductive", True, "square", class_colours(2)[1]),
    )
    for words, transductive, symbol, colour in groups:
        rows = [row for row in entries if getattr(row, cost) and row.transductive == transductive]
        figure.add_trace(
            go.Scatter(
                x=[getattr(row, cost) for row in rows],
                y=[row.accuracy for row in rows],
                error_y={"array": [row.interval for row in rows], "color": ERROR_BAR, "thickness": 1},
                mode="markers",
                name=words,
                marker={"color": colour, "symbol": symbol, "size": 10},
                text=[html.escape(row.name) for row in rows],
                hovertemplate="%{text}<br>%{y:.1%}, %{x:.3g}<extra></extra>",
            )
        )
    figure.update_xaxes(type="log", title_text=COSTS[cost])
    figure.update_yaxes(tickformat=".0%", title_text="query accuracy")
    figure = plain(figure, height=430)
    return figure.update_layout(legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"})


def sweep(answers: Mapping[str, Mapping[str, Any]], over: Literal["shots", "steps"]) -> go.Figure:
    """Draw accuracy over shots, or over inner steps, from answers of :mod:`metalab.curves` by model name.

    Baselines are dashed; those of models on the same backbone lie on each other and are drawn once.
    """
    lines: dict[tuple[str, tuple[float, ...]], tuple[str, list[Mapping[str, Any]]]] = {}
    for model, known in answers.items():
        for method in dict.fromkeys(point["method"] for point in known[over]):
            points = [point for point in known[over] if point["method"] == method]
            own = points[0]["kind"] == "metalearner"
            name = model if own else points[0]["label"]
            lines.setdefault((name, tuple(point["accuracy"] for point in points)), (name, points))
    figure = go.Figure()
    for (name, points), colour in zip(lines.values(), class_colours(max(1, len(lines))), strict=False):
        own = points[0]["kind"] == "metalearner"
        figure.add_trace(
            go.Scatter(
                x=[point["at"] for point in points],
                y=[point["accuracy"] for point in points],
                error_y={"array": [point["interval"] or 0 for point in points], "thickness": 1, "width": 3},
                mode="lines+markers",
                name=html.escape(_short(name, 40)),
                line={"color": colour, "dash": "solid" if own else "dash", "width": 2},
                marker={"symbol": "circle" if own else "diamond", "size": 8},
                hovertemplate="%{fullData.name}<br>%{y:.1%} at %{x}<extra></extra>",
            )
        )
    if over == "steps":
        for known in answers.values():
            if known.get("steps") and known.get("inner_steps"):
                figure.add_vline(known["inner_steps"], line={"color": INK, "dash": "dot", "width": 1})
    ticks = sorted({point["at"] for known in answers.values() for point in known[over]})
    words = {"shots": "support examples per class (shot)", "steps": "inner steps; dotted: as trained"}
    figure.update_xaxes(title_text=words[over], tickvals=ticks)
    figure.update_yaxes(tickformat=".0%", title_text="query accuracy")
    figure = plain(figure, height=400)
    return figure.update_layout(
        showlegend=True, legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    )


def _named(figure: go.Figure, rows: int) -> go.Figure:
    figure.update_yaxes(automargin=True, showgrid=True, dtick=1, griddash="dot")
    figure = plain(figure, height=90 + _ROW * max(rows, 1))
    return figure.update_layout(margin_t=10, showlegend=False)


def _short(name: str, most: int = 34) -> str:
    """Return ``name`` cut to what fits beside a figure."""
    return html.escape(name if len(name) <= most else name[: most - 1] + "…")
