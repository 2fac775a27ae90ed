"""Figures of one task's adaptation: step by step, what is predicted, and what changed in the model."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from metalab.changes import NOTHING, Changes, percent
from metalab.embeddings import Embedding
from metalab.inspection import TaskView
from metalab.palette import DIVERGING, INK, OTHER, OWN, SEQUENTIAL, class_colours
from metalab.plots import plain
from metalab.plots_features import hover_texts, legend, same_axes, stage_points

_BELOW = {"orientation": "h", "x": 0, "y": -0.14, "yanchor": "top"}


def step_by_step(view: TaskView, embedding: Embedding) -> go.Figure:
    """Draw accuracy, confidence and losses over the stages, and the features (2-D) beside them.

    One slider moves through the stages in all panels; the browser does that alone.
    """
    names = [stage.name for stage in view.stages]
    places = list(range(len(names)))
    figure = make_subplots(
        2,
        2,
        specs=[[{}, {"rowspan": 2}], [{}, None]],
        shared_xaxes=True,
        vertical_spacing=0.06,
        horizontal_spacing=0.06,
    )
    support_losses = [stage.support_loss for stage in view.stages]
    losses = [view.loss(stage) for stage in view.stages]
    curves = [
        (1, "query accuracy", [stage.accuracy for stage in view.stages], OWN, "solid", ".1%"),
        (1, "confidence", [view.confidence(stage) for stage in view.stages], OTHER, "dash", ".1%"),
        (2, "query loss", losses, OWN, "solid", ".3g"),
        (2, "support loss", support_losses, OTHER, "dash", ".3g"),
    ]
    for row, name, values, colour, dash, form in curves:
        if any(value is not None for value in values):
            figure.add_scatter(
                x=places,
                y=values,
                text=names,
                name=name,
                mode="lines+markers",
                line={"color": colour, "width": 2, "dash": dash},
                marker_size=8 if len(names) < 20 else 4,
                hovertemplate=f"%{{text}}: {name} %{{y:{form}}}<extra></extra>",
                row=row,
                col=1,
            )
    most = 1.05 * max([*losses, *(loss for loss in support_losses if loss is not None), 1e-3])
    first = len(figure.data)
    last = len(names) - 1
    for row, height in ((1, 1.05), (2, most)):
        figure.add_trace(_mark(last, height), row, 1)
    texts = hover_texts(view)
    for trace in stage_points(view, embedding, names[-1], texts, "class", moving=True):
        figure.add_trace(trace, 1, 2)
    moving = list(range(first, len(figure.data)))
    figure.add_traces(legend(view, embedding, "class", moving=True))
    figure.frames = [
        go.Frame(
            name=name,
            traces=moving,
            data=[
                _mark(place, 1.05),
                _mark(place, most),
                *stage_points(view, embedding, name, texts, "class", moving=True),
            ],
        )
        for place, name in enumerate(names)
    ]
    how = {"frame": {"duration": 300, "redraw": False}, "transition": {"duration": 300}, "mode": "immediate"}
    steps = [
        {
            "label": f"{stage.name}: {stage.accuracy:.0%} right, {view.confidence(stage):.0%} sure, "
            f"loss {loss:.3g}",
            "method": "animate",
            "args": [[stage.name], how],
        }
        for stage, loss in zip(view.stages, losses, strict=True)
    ]
    shown = places[:: max(1, len(places) // 6)]
    figure.update_xaxes(tickvals=shown, ticktext=[names[i] for i in shown], range=[-0.3, last + 0.3], col=1)
    figure.update_xaxes(showticklabels=False, row=1, col=1)
    figure.update_yaxes(range=[0, 1.05], tickformat=".0%", row=1, col=1)
    figure.update_yaxes(range=[0, most], title_text="loss (nats)", row=2, col=1)
    same_axes(figure, embedding, embedding.stages, 1, 2)
    return plain(figure, 560).update_layout(
        margin_t=10,
        legend={"orientation": "h", "x": 0, "y": -0.42, "yanchor": "top"},
        sliders=[
            {
                "steps": steps,
                "active": last,
                "y": -0.17,  # below labels that a narrow screen turns
                "pad": {"t": 6},
                "currentvalue": {"font": {"size": 14, "color": "#64748b"}, "xanchor": "left"},
                "font": {"color": "rgba(0,0,0,0)"},  # the labels at the ticks would run into each other
                "ticklen": 4,
            }
        ],
    )


def _mark(place: float, height: float) -> go.Scatter:
    """Return the line at the stage that is shown."""
    return go.Scatter(
        x=[place, place],
        y=[0, height],
        mode="lines",
        line={"color": INK, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )


def confusion(view: TaskView, stage: str | None = None) -> go.Figure:
    """Draw how often each class of the query (rows) is predicted as which (columns)."""
    chosen = view.stage(stage) if stage else view.stages[-1]
    way = len(view.classes)
    counts = np.zeros((way, way), dtype=int)
    np.add.at(counts, (view.labels[~view.support], chosen.probabilities.argmax(1)), 1)
    figure = go.Figure(
        go.Heatmap(
            z=counts,
            colorscale=SEQUENTIAL,
            showscale=False,
            text=np.where(counts, counts.astype(str), ""),
            texttemplate="%{text}" if way <= 12 else None,
            hovertemplate="%{z} examples of row %{y} predicted as column %{x}<extra></extra>",
            xgap=1,
            ygap=1,
        )
    )
    ticks = {"tickvals": list(range(way)), "ticktext": [html.escape(name) for name in view.classes]}
    figure.update_xaxes(title_text="predicted class", showgrid=False, **ticks)
    figure.update_yaxes(title_text="true class", autorange="reversed", showgrid=False, **ticks)
    return plain(figure, height=max(300, 60 + 26 * way))


def chances(probabilities: Mapping[str, NDArray[np.floating]], classes: Sequence[str]) -> go.Figure:
    """Draw how probable each class is for one example, by stage: {stage: probabilities (way,)}."""
    names = [html.escape(name) for name in classes]
    figure = go.Figure()
    colours, many = class_colours(len(names)), len(probabilities) * len(names)
    for number, name in enumerate(names):
        values = [float(row[number]) for row in probabilities.values()]
        figure.add_bar(
            x=list(probabilities),
            y=values,
            name=name,
            marker_color=colours[number],
            # Where many bars share the place, their numbers would run into each other.
            text=[f"{value:.0%}" if value >= 0.1 else "" for value in values] if many <= 10 else None,
            textposition="outside",
            textangle=0,
            constraintext="none",
            hovertemplate=f"%{{x}}: {name} %{{y:.1%}}<extra></extra>",
        )
    figure.update_yaxes(range=[0, 1.1], tickvals=[0, 0.5, 1], tickformat=".0%", title_text="probability")
    figure.update_xaxes(type="category")
    return plain(figure, 280).update_layout(barmode="group", legend=_BELOW, margin_t=10)


def moved_weights(changes: Changes) -> go.Figure:
    """Draw how far each tensor has moved after each inner step, in per cent of its size at the start.

    A tensor that starts at zero has no such size, and its row is left blank. The lightest colour stands for
    practically nothing, the darkest for 1 % or more.
    """
    share = 100 * changes.moved[1:].T  # (layers, steps)
    with np.errstate(divide="ignore"):
        size = np.log10(share)
    least, most = round(np.log10(100 * NOTHING)), max(0.0, *size[np.isfinite(size)].tolist(), 0.0)
    ticks = list(range(least, int(np.ceil(most)) + 1))
    figure = go.Figure(
        go.Heatmap(
            z=np.where(np.isnan(size), np.nan, np.maximum(size, least)),
            x=changes.stages[1:],
            y=changes.layers,
            colorscale=SEQUENTIAL,
            zmin=least,
            zmax=ticks[-1],
            text=[
                ["" if np.isnan(value) else percent(value) for value in row] for row in changes.moved[1:].T
            ],
            texttemplate="%{text}" if share.shape[1] <= 6 else None,
            hovertemplate="%{y}, %{x}: %{text}<extra></extra>",
            colorbar={
                "tickvals": ticks,
                "ticktext": [f"{'< ' if tick == least else ''}{10.0**tick:g} %" for tick in ticks],
                "thickness": 12,
            },
            xgap=1,
            ygap=1,
        )
    )
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    return plain(figure, 120 + 24 * len(changes.layers)).update_layout(margin_t=50)  # clear of the tools


def meta_trained(changes: Changes) -> go.Figure:
    """Draw how far meta-training moved each tensor of the backbone from the pre-trained one."""
    names, values = list(changes.meta_trained), [100 * share for share in changes.meta_trained.values()]
    bars = go.Bar(
        x=values,
        y=names,
        orientation="h",
        marker_color=OWN,
        hovertemplate="%{y}: %{x:.2g} %<extra></extra>",
    )
    figure = go.Figure(bars)
    figure.update_xaxes(title_text="change in % of its size", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return plain(figure, 80 + 24 * len(names)).update_layout(margin_t=10)


def film_coefficients(changes: Changes) -> go.Figure:
    """Draw gamma and beta of each channel (columns) of each block (rows), orange above zero, blue below."""
    figure = make_subplots(
        2,
        1,
        subplot_titles=["gamma: scales a channel by 1 + gamma", "beta: shifts it"],
        vertical_spacing=0.22,
    )
    widest = max(len(gamma) for gamma, _ in changes.film)
    for row in (1, 2):
        z = np.full((len(changes.film), widest), np.nan)
        for block, pair in enumerate(changes.film):
            z[block, : len(pair[row - 1])] = pair[row - 1]
        most = float(np.nanmax(np.abs(z))) or 1.0
        figure.add_heatmap(
            z=z,
            y=[f"block {block + 1}" for block in range(len(z))],
            colorscale=DIVERGING,
            zmin=-most,
            zmax=most,
            colorbar={"thickness": 12, "len": 0.42, "y": 0.8 if row == 1 else 0.2},
            hovertemplate="%{y}, channel %{x}: %{z:+.3f}<extra></extra>",
            row=row,
            col=1,
        )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False)
    figure.update_xaxes(title_text="channel", row=2, col=1)
    return plain(figure, 180 + 44 * len(changes.film))


def learnt_rates(changes: Changes) -> go.Figure:
    """Draw the learnt inner rates of each tensor: by step, or where all steps share them, their spread."""
    names, rates = list(changes.rates), list(changes.rates.values())
    if max(len(rows) for rows in rates) == 1:
        table = np.concatenate(rates)
        figure = go.Figure(
            go.Scatter(
                x=table[:, 0],
                y=names,
                mode="markers",
                marker={"color": OWN, "size": 9},
                error_x={
                    "array": table[:, 2] - table[:, 0],
                    "arrayminus": table[:, 0] - table[:, 1],
                    "thickness": 1.5,
                },
                hovertemplate="%{y}: mean %{x:.3g}<extra></extra>",
            )
        )
        figure.add_vline(0, line={"dash": "dot", "color": INK})
        figure.update_xaxes(title_text="rate: mean, and 5 % to 95 % of its weights")
    else:
        steps = max(len(rows) for rows in rates)
        z = np.stack([np.resize(rows[:, 0], steps) for rows in rates])
        most = float(np.abs(z).max()) or 1.0
        figure = go.Figure(
            go.Heatmap(
                z=z,
                x=[f"step {step + 1}" for step in range(steps)],
                y=names,
                colorscale=DIVERGING,
                zmin=-most,
                zmax=most,
                texttemplate="%{z:.2g}" if steps <= 8 else None,
                hovertemplate="%{y}, %{x}: %{z:.3g}<extra></extra>",
                colorbar={"thickness": 12},
                xgap=1,
                ygap=1,
            )
        )
        figure.update_xaxes(showgrid=False)
    figure.update_yaxes(autorange="reversed", automargin=True)
    return plain(figure, 120 + 24 * len(names)).update_layout(margin_t=50)  # clear of the tools


def head_weights(changes: Changes, classes: Sequence[str]) -> go.Figure:
    """Draw the head: each class's row of weights (or its prototype), and how alike the rows are (cosine)."""
    head, names = changes.head, [html.escape(name) for name in classes]
    centred = head - head.mean(0)  # what all classes share decides nothing
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    cosine = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    cosine = cosine @ cosine.T
    titles = [f"{head.shape[1]} numbers, less the mean", "Likeness (cosine)"]
    figure = make_subplots(1, 2, column_widths=[0.62, 0.38], subplot_titles=titles, horizontal_spacing=0.1)
    figure.update_annotations(font_size=12)  # on a phone they would run into each other
    most = float(np.abs(centred).max()) or 1.0
    shared = {"colorscale": DIVERGING, "showscale": False}
    figure.add_heatmap(
        z=centred,
        zmin=-most,
        zmax=most,
        hovertemplate="%{y}, feature %{x}: %{z:+.3g}<extra></extra>",
        row=1,
        col=1,
        **shared,
    )
    figure.add_heatmap(
        z=cosine,
        zmin=-1,
        zmax=1,
        texttemplate="%{z:.2f}" if len(names) <= 6 else None,
        hovertemplate="%{y} and %{x}: %{z:.2f}<extra></extra>",
        row=1,
        col=2,
        **shared,
    )
    ticks = {"tickvals": list(range(len(names))), "ticktext": names}
    figure.update_yaxes(autorange="reversed", showgrid=False, **ticks)
    figure.update_xaxes(showgrid=False, title_text="feature", row=1, col=1)
    figure.update_xaxes(showgrid=False, **ticks, row=1, col=2)
    return plain(figure, max(280, 120 + 26 * len(names)))
