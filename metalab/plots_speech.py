"""Figures of spoken words: their spectra, and which was taken for which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from metalab.data.sounds import HIGHEST, LOWEST, MELS, mel_spectrum

if TYPE_CHECKING:
    from metalab.own_words import JudgedWords

COLUMNS, HEIGHT = 5, 170


def spectra(words: Mapping[str, np.ndarray]) -> go.Figure:
    """Return the mel spectrum in dB of one recording (n,) of each word, time in seconds."""
    rows = -(-len(words) // COLUMNS)
    figure = make_subplots(
        rows,
        min(COLUMNS, len(words)),
        subplot_titles=list(words),
        horizontal_spacing=0.03,
        vertical_spacing=0.2 / rows,
    )
    for at, samples in enumerate(words.values()):
        level = mel_spectrum(torch.as_tensor(samples)).numpy()
        figure.add_trace(
            go.Heatmap(
                z=level,
                x=np.arange(level.shape[1]) / 100,
                colorscale="Viridis",
                zmin=-60,
                zmax=0,
                showscale=at == 0,
                colorbar={"title": "dB", "thickness": 10},
                hovertemplate="%{x:.2f} s, band %{y}: %{z:.0f} dB<extra></extra>",
            ),
            at // COLUMNS + 1,
            at % COLUMNS + 1,
        )
    figure.update_yaxes(showticklabels=False)
    figure.update_xaxes(title_text="s", row=rows)
    figure.update_layout(
        height=80 + HEIGHT * rows,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        meta={"bands": f"{MELS} from {LOWEST:.0f} to {HIGHEST:.0f} Hz"},
    )
    return figure


def confusion(held: JudgedWords) -> go.Figure:
    """Return which share of each word's query recordings was taken for which word."""
    names = [str(name) for name in held.model.classes]
    shares = np.zeros((len(names), len(names)))
    for word, own in held.task.query.items():
        found = held.model.predict(own)
        for one in found:
            shares[names.index(word), names.index(str(one))] += 1 / len(own)
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=names,
            y=names,
            colorscale="Blues",
            zmin=0,
            zmax=1,
            text=np.where(shares > 0, np.char.mod("%.0f %%", 100 * shares), ""),
            texttemplate="%{text}",
            hovertemplate="%{y} taken for %{x}: %{z:.0%}<extra></extra>",
            showscale=False,
        )
    )
    figure.update_yaxes(title_text="said", autorange="reversed", type="category")
    figure.update_xaxes(title_text="heard", type="category")
    figure.update_layout(height=160 + 32 * len(names), margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure
