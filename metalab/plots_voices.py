"""Figures of synthetic speech: spectra and pitch curves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from metalab.data.acoustics import centres, levelled, log_mel, pitch

COLOURS = ("#8a8f98", "#e4572e")
HEIGHT = 260


def spoken_spectra(made: Mapping[str, np.ndarray]) -> go.Figure:
    """Return the mel spectra of samples at 16 kHz, side by side by name."""
    figure = make_subplots(cols=len(made), rows=1, subplot_titles=list(made), shared_yaxes=True)
    for column, samples in enumerate(made.values(), 1):
        level = levelled(log_mel(samples)).T
        figure.add_heatmap(
            z=10 / np.log(10) * level,
            x=np.arange(level.shape[1]) / 100,
            y=np.arange(len(level)),
            colorscale="Viridis",
            showscale=False,
            hovertemplate="%{x:.2f} s<br>%{z:.0f} dB<extra></extra>",
            row=1,
            col=column,
        )
    at = [5, 20, 40, 60, 75]
    figure.update_yaxes(tickvals=at, ticktext=[f"{centres()[one]:.0f}" for one in at])
    figure.update_yaxes(title="Hz", col=1)
    figure.update_xaxes(title="s")
    return figure.update_layout(height=HEIGHT, margin={"l": 10, "r": 10, "t": 30, "b": 10})


def melodies(made: Mapping[str, np.ndarray]) -> go.Figure:
    """Return the pitch in Hz of samples at 16 kHz over time, by name; gaps where there is no voice."""
    figure = go.Figure()
    for colour, (name, samples) in zip(COLOURS, made.items(), strict=False):
        hertz, voiced = pitch(samples)
        figure.add_scatter(
            x=np.arange(len(hertz)) / 100,
            y=np.where(voiced, hertz, np.nan),
            name=name,
            mode="lines",
            line={"color": colour},
            hovertemplate="%{x:.2f} s<br>%{y:.0f} Hz<extra></extra>",
        )
    figure.update_xaxes(title="s").update_yaxes(title="pitch in Hz")
    return figure.update_layout(height=HEIGHT, margin={"l": 10, "r": 10, "t": 30, "b": 10})
