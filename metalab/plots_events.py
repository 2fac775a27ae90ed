"""Figures of recommendation: a click rate that becomes known, and what learning costs while serving."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from metalab.bandit import POLICIES, Served
from metalab.own_events import Campaign
from metalab.palette import INK, class_colours

POINTS = 100
"""Of a regret curve that are drawn."""


def rate_band(campaign: Campaign) -> go.Figure:
    """Return the expected click rate by impressions seen, with its band, beside clicks / impressions."""
    held = campaign.estimates
    seen = [one.seen for one in held]
    colour, other = class_colours(2)
    figure = go.Figure()
    figure.add_scatter(
        x=[*seen, *seen[::-1]],
        y=[*(100 * one.high for one in held), *(100 * one.low for one in held[::-1])],
        fill="toself",
        fillcolor=_faint(colour),
        line={"width": 0},
        hoverinfo="skip",
        name="95 % band",
    )
    figure.add_scatter(
        x=seen,
        y=[100 * one.rate for one in held],
        mode="lines+markers",
        line={"color": colour},
        name="expected",
        hovertemplate="%{x} impressions: %{y:.2f} %<extra></extra>",
    )
    own = [one for one in held if one.own is not None]
    figure.add_scatter(
        x=[one.seen for one in own],
        y=[100 * one.own for one in own],
        mode="markers",
        marker={"color": other, "size": 9},
        name="clicks / impressions",
        customdata=[one.clicks for one in own],
        hovertemplate="%{customdata} clicks of %{x}: %{y:.2f} %<extra></extra>",
    )
    figure.add_hline(100 * campaign.true, line={"dash": "dash", "color": INK}, annotation_text="later")
    figure.update_layout(
        xaxis_title="impressions seen",
        yaxis_title="click rate, %",
        yaxis_rangemode="tozero",
        legend={"orientation": "h", "y": 1.12},
        margin={"t": 40, "b": 40, "l": 50, "r": 10},
        height=380,
    )
    return figure


def regret_curves(served: Sequence[Served]) -> go.Figure:
    """Return the mean regret of each policy by viewers served, with 95 % intervals over repetitions."""
    figure = go.Figure()
    for one, colour in zip(served, class_colours(len(served)), strict=True):
        steps = one.regret.shape[1]
        at = np.unique(np.linspace(0, steps - 1, POINTS).astype(int))
        mean = one.regret[:, at].mean(0)
        half = 1.96 * one.regret[:, at].std(0, ddof=1) / np.sqrt(len(one.regret))
        figure.add_scatter(
            x=np.concatenate([at, at[::-1]]),
            y=np.concatenate([mean + half, (mean - half)[::-1]]),
            fill="toself",
            fillcolor=_faint(colour),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=at,
            y=mean,
            mode="lines",
            line={"color": colour},
            name=POLICIES[one.policy],
            hovertemplate=f"{POLICIES[one.policy]}: %{{y:.1f}} clicks missed after %{{x}}<extra></extra>",
        )
    figure.update_layout(
        xaxis_title="viewers served",
        yaxis_title="regret, clicks",
        legend={"orientation": "h", "y": 1.25},
        margin={"t": 40, "b": 40, "l": 50, "r": 10},
        height=440,
    )
    return figure


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"
