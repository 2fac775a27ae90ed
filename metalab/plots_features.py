"""Figures of features: before and after adaptation side by side, and moving."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from metalab.embeddings import Embedding
from metalab.inspection import BACKGROUND, Stage, TaskView
from metalab.palette import GROUND, INK, RIGHT, WRONG, class_colours
from metalab.plots import plain

Colour = Literal["class", "correctness", "confidence"]
_SYMBOLS = {"support": "diamond", "right": "circle", "wrong": "x"}
_WORDS = {"support": "support example", "right": "query, right", "wrong": "query, wrong"}
_METHODS = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
CROWD = 200
"""Points of a stage from which on they are smaller, so that they do not hide each other."""
_NO_AXIS: dict[str, Any] = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": ""}
_BETWEEN = 8
"""Pictures drawn from one stage to the next where plotly cannot move points by itself (3-D)."""


def before_after(
    view: TaskView,
    embedding: Embedding,
    before: str | None = None,
    after: str | None = None,
    colour: Colour = "class",
) -> go.Figure:
    """Draw two stages of ``view`` (by default the first and the last) side by side on the same axes.

    A diamond is a support example, a dot a query example that is predicted rightly, a cross one that is not.
    Each point carries its number in ``view`` as custom data.
    """
    names = (before or embedding.stages[0], after or embedding.stages[-1])
    titles = [f"{name} · {view.stage(name).accuracy:.0%} right" for name in names]
    kind = "scene" if _solid(embedding) else "xy"
    figure = make_subplots(
        1, 2, subplot_titles=titles, horizontal_spacing=0.03, specs=[[{"type": kind}, {"type": kind}]]
    )
    texts = hover_texts(view)
    for column, name in enumerate(names, start=1):
        for trace in stage_points(view, embedding, name, texts, colour):
            figure.add_trace(trace, 1, column)
    figure.add_traces(legend(view, embedding, colour))
    same_axes(figure, embedding, names)
    return _finish(figure, 490).update_layout(margin_t=70)  # room for the tools above the titles


def morph(view: TaskView, embedding: Embedding, colour: Colour = "class") -> go.Figure:
    """Animate the query and support features from stage to stage, with a slider and a play button."""
    if not embedding.stages:
        return go.Figure()
    solid, texts = _solid(embedding), hover_texts(view)
    frames = [
        go.Frame(name=label, data=stage_points(view, part, name, texts, colour, moving=True))
        for label, name, part in _moments(embedding)
    ]
    figure = go.Figure(
        [*frames[0].data, *legend(view, embedding, colour, moving=True)],
        frames=frames,
    )
    same_axes(figure, embedding, embedding.stages)
    moving = {
        "frame": {"duration": 60 if solid else 900, "redraw": solid},
        "transition": {"duration": 0 if solid else 800},
        "mode": "immediate",
    }
    steps = [
        {
            "label": f"{name} ({view.stage(name).accuracy:.0%})",
            "method": "animate",
            "args": [[name], {**moving, "frame": {"duration": 500, "redraw": solid}}],
        }
        for name in embedding.stages
    ]
    play = [[frame.name for frame in frames], {**moving, "fromcurrent": False}]
    figure = _finish(figure, 560)
    return figure.update_layout(
        margin_b=150,
        legend_y=-0.28,
        sliders=[
            {
                "steps": steps,
                "y": -0.02,
                "x": 0.2,
                "len": 0.78,
                "pad": {"t": 10},
                "currentvalue_visible": False,
            }
        ],
        updatemenus=[
            {
                "type": "buttons",
                "x": 0.0,
                "y": -0.04,
                "xanchor": "left",
                "yanchor": "top",
                "buttons": [{"label": "▶ Play", "method": "animate", "args": play}],
            }
        ],
    )


def _moments(embedding: Embedding) -> Iterator[tuple[str, str, Embedding]]:
    """Yield (name of the frame, stage that it shows, embedding of that stage alone) in order."""
    places = embedding.coordinates
    for number, name in enumerate(embedding.stages):
        yield name, name, Embedding(embedding.method, (name,), places[number : number + 1])
        if _solid(embedding) and number + 1 < len(places):
            for part in range(1, _BETWEEN):
                share = part / _BETWEEN
                here = (1 - share) * places[number] + share * places[number + 1]
                yield f"{name} {part}", name, Embedding(embedding.method, (name,), here[None])


def _solid(embedding: Embedding) -> bool:
    return embedding.coordinates.shape[2] == 3


def stage_points(
    view: TaskView,
    embedding: Embedding,
    name: str,
    texts: Sequence[str],
    colour: Colour,
    moving: bool = False,
) -> list[go.Scatter | go.Scatter3d]:
    """Return the points of a stage, one trace a class: always as many, so that frames match."""
    stage, solid = view.stage(name), _solid(embedding)
    coordinates = embedding.coordinates[embedding.stages.index(name)]
    roles = np.full(len(view.labels), "support", dtype=object)
    roles[~view.support] = np.where(view.right(stage), "right", "wrong")
    colours = _colours(view, stage, roles, colour)
    says = _predictions(view, stage)
    # A symbol cannot turn into another while it moves: there the wrong ones are pale.
    symbols = {**_SYMBOLS, "wrong": "circle"} if moving else _SYMBOLS
    pale = {"support": 1.0, "right": 0.9, "wrong": 0.3 if moving and colour == "class" else 0.9}
    line = 0.75 if len(roles) > CROWD else 1.5
    sizes = (4, 7) if solid else (5, 8) if len(roles) > CROWD else (8, 13)  # query, support
    traces = []
    for number in range(len(view.classes)):
        chosen = np.flatnonzero(view.labels == number)
        chosen = chosen[np.argsort(roles[chosen] == "support", kind="stable")]  # support on top
        marker: dict[str, Any] = {
            "color": colours[chosen].tolist(),
            "symbol": [symbols[role] for role in roles[chosen]],
            "size": [sizes[role == "support"] for role in roles[chosen]],
        }
        if colour == "confidence":
            marker["coloraxis"] = "coloraxis"
        if not solid:  # in 3-D both would have to be one number
            marker["opacity"] = [pale[role] for role in roles[chosen]]
            marker["line"] = {
                "width": [line if role == "support" else 0 for role in roles[chosen]],
                "color": INK,
            }
        places = dict(zip("xyz", coordinates[chosen].T, strict=False))
        traces.append(
            (go.Scatter3d if solid else go.Scatter)(
                **places,
                mode="markers",
                name=html.escape(view.classes[number]),
                legendgroup=f"class {number}",
                showlegend=False,
                marker=marker,
                customdata=chosen.tolist(),
                text=[texts[i] + says[i] for i in chosen],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    return traces


def colours_of(view: TaskView) -> list[str]:
    """Return a colour a class: of places in pictures those that the classes have there, grey for the rest."""
    if view.classes[0] == BACKGROUND:
        return [GROUND, *class_colours(len(view.classes) - 1)]
    return class_colours(len(view.classes))


def _colours(view: TaskView, stage: Stage, roles: NDArray[Any], colour: Colour) -> NDArray[Any]:
    """Return the colour of each point: names, or for confidence numbers 0..1 (a support example is sure)."""
    if colour == "class":
        return np.array(colours_of(view))[view.labels]
    if colour == "correctness":
        tones = {"support": INK, "right": RIGHT, "wrong": WRONG}
        return np.array([tones[role] for role in roles])
    sure = np.ones(len(view.labels))
    sure[~view.support] = stage.probabilities.max(1)
    return sure


def legend(
    view: TaskView, embedding: Embedding, colour: Colour, moving: bool = False
) -> list[go.Scatter | go.Scatter3d]:
    """Return traces without points that explain the colours (a click hides a class) and the symbols."""
    tones = {"support": INK, "right": INK, "wrong": INK}
    if colour == "correctness":
        tones |= {"right": RIGHT, "wrong": WRONG}
    entries = []
    if colour == "class":
        entries = [
            (html.escape(name), tone, "circle", f"class {number}")
            for number, (name, tone) in enumerate(zip(view.classes, colours_of(view), strict=True))
        ]
    # Hollow where the colour says the class: a filled grey dot would be taken for the background.
    hollow = {"support": "-open", "right": "-open"} if colour == "class" else {}
    entries += [
        (_WORDS[role], tones[role], symbol + hollow.get(role, ""), role) for role, symbol in _SYMBOLS.items()
    ]
    if moving:
        faint = "rgba(136,136,136,0.3)" if colour == "class" else tones["wrong"]
        entries[-1] = (_WORDS["wrong"], faint, "circle", "wrong")
    solid = _solid(embedding)
    places = {axis: [None] for axis in ("xyz" if solid else "xy")}
    return [
        (go.Scatter3d if solid else go.Scatter)(
            **places,
            mode="markers",
            name=name,
            marker={"symbol": symbol, "color": tone, "size": 10},
            legendgroup=group,
            hoverinfo="skip",
        )
        for name, tone, symbol, group in entries
    ]


def hover_texts(view: TaskView) -> list[str]:
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


def same_axes(
    figure: go.Figure,
    embedding: Embedding,
    names: Iterable[str],
    row: int | None = None,
    col: int | None = None,
) -> None:
    """Let all panels of ``figure``, or the one named, show the points of the stages ``names``."""
    shown = embedding.coordinates[[embedding.stages.index(name) for name in names]]
    shown = shown.reshape(-1, shown.shape[2])
    low, high = shown.min(0), shown.max(0)
    margin = 0.12 * max(float((high - low).max()), 1e-6)  # room to begin a lasso around any group
    ranges = [[float(a) - margin, float(b) + margin] for a, b in zip(low, high, strict=True)]
    words = f"{_METHODS[embedding.method]}, one fit for all stages"
    if _solid(embedding):
        axes = {
            f"{letter}axis": {"range": limits, "title": "", "showticklabels": False, "showbackground": False}
            for letter, limits in zip("xyz", ranges, strict=True)
        }
        figure.update_scenes(**axes, aspectmode="cube", uirevision="keep")
        figure.add_annotation(text=words, x=0, y=0, xref="paper", yref="paper", showarrow=False, font_size=11)
        return
    figure.update_xaxes(range=ranges[0], title_text=words, title_font_size=11, row=row, col=col, **_NO_AXIS)
    figure.update_yaxes(range=ranges[1], row=row, col=col, **_NO_AXIS)


def _finish(figure: go.Figure, height: int) -> go.Figure:
    bar = {"title": "confidence", "tickformat": ".0%", "thickness": 12, "len": 0.8}
    return plain(figure, height).update_layout(
        legend={"orientation": "h", "x": 0, "y": -0.12, "yanchor": "top"},
        coloraxis={"colorscale": "Cividis", "cmin": 0, "cmax": 1, "colorbar": bar},
        dragmode="zoom" if figure.layout.scene.xaxis.range is None else None,
    )


def feature_rows(view: TaskView, embedding: Embedding) -> list[dict[str, Any]]:
    """Return one row per stage and example for a CSV: where it lies, what it is, and what is predicted."""
    rows, query = [], np.cumsum(~view.support) - 1
    for number, name in enumerate(embedding.stages):
        stage = view.stage(name)
        for point, place in enumerate(embedding.coordinates[number].tolist()):
            chances = None if view.support[point] else stage.probabilities[query[point]]
            said = None if chances is None else view.classes[int(chances.argmax())]
            truth = view.classes[int(view.labels[point])]
            rows.append(
                {
                    "stage": name,
                    "example": point,
                    **dict(zip("xyz", place, strict=False)),
                    "class": truth,
                    "role": "support" if chances is None else "query",
                    "predicted": said,
                    "confidence": None if chances is None else round(float(chances.max()), 4),
                    "right": None if chances is None else said == truth,
                }
            )
    return rows
