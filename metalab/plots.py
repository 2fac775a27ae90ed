"""Every figure, for pages and notebooks alike: plotly on a transparent ground, readable in light and dark."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from metalab.embeddings import Embedding
from metalab.inspection import Separation, Stage, TaskView
from metalab.palette import ERROR_BAR, INK, OTHER, OWN, class_colours

_SYMBOLS = {"support": "diamond", "right": "circle", "wrong": "x"}
_METHODS = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
_NO_AXIS: dict[str, Any] = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": ""}


def before_after(
    view: TaskView, embedding: Embedding, before: str | None = None, after: str | None = None
) -> go.Figure:
    """Draw two stages of ``view`` (by default the first and the last) side by side on the same axes.

    Colour is the class; a diamond is a support example, a dot a query example that is predicted rightly, a
    cross one that is not.
    """
    names = (before or embedding.stages[0], after or embedding.stages[-1])
    titles = [f"{name} · {view.stage(name).accuracy:.0%} of the query right" for name in names]
    figure = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.03)
    texts = _hover(view)
    for column, name in enumerate(names, start=1):
        for trace in _class_traces(view, embedding, name, texts):
            figure.add_trace(trace, 1, column)
    figure.add_traces(_legend(view))
    _same_axes(figure, embedding, names)
    return _plain(figure, height=430)


def morph(view: TaskView, embedding: Embedding) -> go.Figure:
    """Animate the query and support features from stage to stage, with a slider and a play button."""
    if not embedding.stages:
        return go.Figure()
    texts = _hover(view)
    frames = [
        go.Frame(name=name, data=_class_traces(view, embedding, name, texts)) for name in embedding.stages
    ]
    figure = go.Figure([*frames[0].data, *_legend(view, moving=True)], frames=frames)
    _same_axes(figure, embedding, embedding.stages)
    moving = {
        "frame": {"duration": 900, "redraw": False},
        "transition": {"duration": 800},
        "mode": "immediate",
    }
    steps = [
        {
            "label": f"{name} ({view.stage(name).accuracy:.0%})",
            "method": "animate",
            "args": [[name], {**moving, "frame": {"duration": 500, "redraw": False}}],
        }
        for name in embedding.stages
    ]
    figure.update_layout(
        sliders=[{"steps": steps, "y": -0.02, "x": 0.16, "len": 0.78, "currentvalue": {"visible": False}}],
        updatemenus=[
            {
                "type": "buttons",
                "x": 0.0,
                "y": -0.04,
                "xanchor": "left",
                "yanchor": "top",
                "buttons": [
                    {
                        "label": "▶ Play",
                        "method": "animate",
                        "args": [list(embedding.stages), {**moving, "fromcurrent": False}],
                    }
                ],
            }
        ],
    )
    title = figure.layout.xaxis.title.text
    figure.update_xaxes(title_text="")  # it would lie under the slider
    figure = _plain(figure, height=520)
    return figure.update_layout(margin_b=70, title={"text": title, "font_size": 12})


def _class_traces(
    view: TaskView, embedding: Embedding, name: str, texts: Sequence[str], moving: bool = False
) -> list[go.Scatter]:
    coordinates = embedding.coordinates[embedding.stages.index(name)]
    stage, roles = view.stage(name), np.full(len(view.labels), "support", dtype=object)
    roles[~view.support] = np.where(view.right(stage), "right", "wrong")
    predicted = _predictions(view, stage)
    # A symbol cannot turn into another while it moves: there the wrong ones are pale.
    symbols = {**_SYMBOLS, "wrong": "circle"} if moving else _SYMBOLS
    traces = []
    for number, colour in enumerate(class_colours(len(view.classes))):
        chosen = np.flatnonzero(view.labels == number)
        chosen = chosen[np.argsort(roles[chosen] == "support", kind="stable")]  # support on top
        traces.append(
            go.Scatter(
                x=coordinates[chosen, 0],
                y=coordinates[chosen, 1],
                mode="markers",
                name=html.escape(view.classes[number]),
                legendgroup=f"class {number}",
                showlegend=False,
                marker={
                    "color": colour,
                    "symbol": [symbols[role] for role in roles[chosen]],
                    "size": [13 if role == "support" else 8 for role in roles[chosen]],
                    "line": {
                        "width": [1.5 if role == "support" else 0 for role in roles[chosen]],
                        "color": INK,
                    },
                    "opacity": [0.3 if moving and role == "wrong" else 0.9 for role in roles[chosen]],
                },
                text=[texts[i] + predicted[i] for i in chosen],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    return traces


def _legend(view: TaskView, moving: bool = False) -> list[go.Scatter]:
    """Return traces without points that explain the colours (a click hides a class) and the symbols."""
    words = {"support": "support example", "right": "query, right", "wrong": "query, wrong"}
    colours = class_colours(len(view.classes))
    entries = [
        (html.escape(name), colour, "circle", f"class {number}")
        for number, (name, colour) in enumerate(zip(view.classes, colours, strict=True))
    ] + [(words[role], INK, symbol, "key") for role, symbol in _SYMBOLS.items()]
    if moving:
        entries[-1] = (words["wrong"], "rgba(136,136,136,0.3)", "circle", "key")
    return [
        go.Scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=name,
            marker={"symbol": symbol, "color": colour, "size": 10},
            legendgroup=group,
            hoverinfo="skip",
        )
        for name, colour, symbol, group in entries
    ]


def _hover(view: TaskView) -> list[str]:
    """Return for each point its class and its drawing in Braille dots."""
    return [
        f"<b>{html.escape(view.classes[label])}</b>, {'support' if support else 'query'}"
        f"<br><span style='font-family:monospace'>{braille(image)}</span>"
        for image, label, support in zip(view.images, view.labels, view.support, strict=True)
    ]


def _predictions(view: TaskView, stage: Stage) -> list[str]:
    """Return for each point what the stage says of it; nothing for support examples."""
    says = [""] * len(view.labels)
    for point, row in zip(np.flatnonzero(~view.support), stage.probabilities, strict=True):
        best = int(row.argmax())
        says[point] = f"<br>predicted {html.escape(view.classes[best])}, {row[best]:.0%} sure"
    return says


def braille(image: NDArray[np.floating[Any]]) -> str:
    """Return ``image`` (C, H, W) as lines of Braille characters, 2 × 4 pixels each, at most 32 wide."""
    grey = np.asarray(image, dtype=np.float32).mean(0)
    step = max(1, math.ceil(max(grey.shape) / 32))
    grey = np.pad(grey, [(0, -side % (4 * step)) for side in grey.shape])
    height, width = (side // step for side in grey.shape)
    grey = grey.reshape(height, step, width, step).mean((1, 3))
    low, high = float(grey.min()), float(grey.max())
    dots = (grey > (low + high) / 2).reshape(height // 4, 4, width // 2, 2).transpose(0, 2, 1, 3)
    bits = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    codes = 0x2800 + (dots * bits).sum((2, 3))
    return "<br>".join("".join(map(chr, row)) for row in codes)


def _same_axes(figure: go.Figure, embedding: Embedding, names: Iterable[str]) -> None:
    shown = embedding.coordinates[[embedding.stages.index(name) for name in names]].reshape(-1, 2)
    low, high = shown.min(0), shown.max(0)
    margin = 0.06 * max(float((high - low).max()), 1e-6)
    figure.update_xaxes(range=[float(low[0]) - margin, float(high[0]) + margin], **_NO_AXIS)
    figure.update_yaxes(range=[float(low[1]) - margin, float(high[1]) + margin], **_NO_AXIS)
    figure.update_xaxes(
        title_text=f"{_METHODS[embedding.method]}, one fit for all stages", title_font_size=11
    )


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
            error_x={"array": [row["interval"] for row in rows], "thickness": 1.5, "color": ERROR_BAR},
            text=[f"{row['accuracy']:.1%} ± {row['interval']:.1%}" for row in rows],
            textposition="inside",
            insidetextanchor="start",
            insidetextfont={"color": "white"},
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    figure.add_vline(1 / evaluation["way"], line={"dash": "dot", "color": INK})
    figure.add_annotation(
        x=1 / evaluation["way"], y=1, yref="paper", yanchor="bottom", text="chance", showarrow=False
    )
    figure.update_xaxes(range=[0, 1], tickformat=".0%", title_text="query accuracy on held-out tasks")
    figure.update_yaxes(automargin=True)
    return _plain(figure, height=120 + 42 * len(rows))


def step_curve(view: TaskView) -> go.Figure:
    """Draw query accuracy at each stage of adaptation."""
    figure = go.Figure(
        go.Scatter(
            x=[stage.name for stage in view.stages],
            y=[stage.accuracy for stage in view.stages],
            mode="lines+markers",
            line={"color": OWN, "width": 2},
            marker_size=9,
            hovertemplate="%{x}: %{y:.1%}<extra></extra>",
        )
    )
    figure.update_yaxes(range=[0, 1.03], tickformat=".0%", title_text="query accuracy")
    return _plain(figure, height=260)


def confusion(view: TaskView, stage: str | None = None) -> go.Figure:
    """Draw how often each class of the query (rows) is predicted as which (columns)."""
    chosen = view.stage(stage) if stage else view.stages[-1]
    way = len(view.classes)
    counts = np.zeros((way, way), dtype=int)
    np.add.at(counts, (view.labels[~view.support], chosen.probabilities.argmax(1)), 1)
    figure = go.Figure(
        go.Heatmap(
            z=counts,
            colorscale=[[0, "rgba(31,131,214,0.06)"], [1, OWN]],
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
    return _plain(figure, height=max(300, 60 + 26 * way))


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


def thumbnail(image: NDArray[np.floating[Any]]) -> str:
    """Return ``image`` (C, H, W) in 0..1 as a PNG data URI; drawings (C = 1) are dark ink on paper."""
    from PIL import Image

    pixels = 1 - np.repeat(image, 3, axis=0) if len(image) == 1 else np.asarray(image)
    content = io.BytesIO()
    Image.fromarray((255 * pixels.transpose(1, 2, 0).clip(0, 1)).astype(np.uint8)).save(content, "PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def _plain(figure: go.Figure, height: int) -> go.Figure:
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
    return _plain(figure, 440)
