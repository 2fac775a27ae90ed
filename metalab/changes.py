"""What adaptation changes: weights that the inner loop moves, FiLM coefficients, learnt rates, the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metalab.backbones import Backbone
from metalab.metalearners import MetaLearner, State
from metalab.metalearners.maml import MAML
from metalab.tasks import Examples

NOTHING = 1e-4
"""A tensor that moved by less than this share of its size has practically not changed."""


@dataclass(frozen=True, eq=False)
class Changes:
    """What one adaptation did.

    - ``sentence`` says it in words.
    - ``stages`` names the moments of the path, ``layers`` the tensors that it passes on; ``moved``
      (stages, layers) is each one's distance from where the path starts over its norm there
      (‖θ - θ₀‖ / ‖θ₀‖; nan if it starts at zero). No layers: the path has a single moment.
    - ``backbone_layers`` counts how many of ``layers``, the first ones, belong to the backbone.
    - ``film`` has the pairs gamma, beta (channels,) of each block, where features become
      (1 + gamma) · h + beta.
    - ``rates`` maps each layer to its learnt inner rates: (steps, 3) mean, 5 % and 95 % quantile over its
      weights. Empty if the rates are not learnt.
    - ``head`` (way, d) has a row of weights or a prototype per class, None if the support set itself is kept.
    - ``meta_trained`` maps each tensor of the backbone to how far meta-training, not adaptation, moved it
      from the pre-trained backbone, over its norm there.
    """

    sentence: str
    stages: list[str]
    layers: list[str]
    backbone_layers: int
    moved: NDArray[np.float64]
    film: list[tuple[NDArray[np.float32], NDArray[np.float32]]]
    rates: dict[str, NDArray[np.float64]]
    head: NDArray[np.float32] | None
    meta_trained: dict[str, float]


@torch.no_grad()
def changes(metalearner: MetaLearner, pretrained: Backbone, support: Examples, way: int) -> Changes:
    """Adapt to ``support`` and return what that changed; ``pretrained`` is the backbone of step 2."""
    path = metalearner.path(support, way)
    states = list(path.values())
    start, end = states[0], states[-1]
    own = metalearner.backbone.params()
    layers = [name for name in own if name in start]
    inside = len(layers)
    if len(states) > 1:
        layers += [name for name in end if name not in own and not name.startswith(("gamma", "beta"))]
    moved = np.array([[_distance(state[name], start[name]) for name in layers] for state in states])
    film = []
    while f"gamma{len(film)}" in end:
        film.append(tuple(end[f"{part}{len(film)}"].float().cpu().numpy() for part in ("gamma", "beta")))
    before = {} if pretrained is metalearner.backbone else pretrained.params()  # never meta-trained
    return Changes(
        _sentence(metalearner, start, end, layers[:inside], moved, film, len(support.y) // way),
        list(path),
        layers,
        inside,
        moved.reshape(len(path), len(layers)),
        film,
        _rates(metalearner, layers),
        _head(end),
        {name: _distance(value, before[name]) for name, value in own.items() if name in before},
    )


def _distance(value: Tensor, start: Tensor) -> float:
    size = start.norm().item()
    return (value - start).norm().item() / size if size else float("nan")


def _overall(state: Mapping[str, Tensor], start: Mapping[str, Tensor], names: list[str]) -> float:
    moved, size = (
        sum(part.square().sum().item() for part in parts) ** 0.5
        for parts in ((state[name] - start[name] for name in names), (start[name] for name in names))
    )
    return moved / size if size else float("nan")


def _sentence(
    metalearner: MetaLearner,
    start: State,
    end: State,
    layers: list[str],
    moved: NDArray[np.float64],
    film: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
    shot: int,
) -> str:
    if film:
        gamma, beta = (np.concatenate([pair[i] for pair in film]) for i in (0, 1))
        return (
            f"The weights of the backbone stay. A network read the support set and set {gamma.size} FiLM "
            f"pairs: a channel is scaled by 1 + gamma (gamma {gamma.mean():+.2f} on average, "
            f"{np.abs(gamma).max():.2f} at most) and shifted by beta ({np.abs(beta).max():.2f} at most)."
        )
    if layers and not np.nan_to_num(moved[-1, : len(layers)]).any():
        return "The inner loop changed no weight of the backbone on this task."
    if layers and np.nan_to_num(moved[-1]).max() < NOTHING:
        return (
            f"The inner {'step' if len(moved) == 2 else 'steps'} changed practically nothing: the head from "
            f"the class averages already fits the examples.{' Try 5 shots.' if shot < 5 else ''}"
        )
    if layers:
        most = int(np.nanargmax(moved[-1, : len(layers)]))
        total = _overall(end, start, layers)
        steps = "1 inner step" if len(moved) == 2 else f"{len(moved) - 1} inner steps"
        return (
            f"{metalearner.label} moved the weights of the backbone by {percent(total)} of their size in "
            f"{steps}, the tensor {layers[most]} most ({percent(moved[-1, most])})."
        )
    what = {
        "head.weight": "only the head, the last linear layer, is made for the task",
        "weight": "only the head is computed from the support features, in closed form",
        "prototypes": "the prototypes are computed from the support features",
        "sums": "the prototypes are computed from the support features, and refined with the query",
    }
    how = next(
        (words for name, words in what.items() if name in end), "the support set is kept to compare with"
    )
    return (
        f"{metalearner.label} changes nothing in the backbone when it adapts: {how}. Features are therefore "
        "the same before and after this task; what differs from the pre-trained backbone is the work of "
        "meta-training."
    )


def percent(share: float) -> str:
    """Return ``share`` in per cent, two digits or more; what is below :data:`NOTHING` only as such."""
    if 0 < share < NOTHING:
        return f"< {100 * NOTHING:g} %"
    return f"{100 * share:.2g} %" if share < 1 else f"{100 * share:.0f} %"


def _rates(metalearner: MetaLearner, layers: list[str]) -> dict[str, NDArray[np.float64]]:
    """Return the learnt rates of the layers that the inner loop moves; steps that are all alike as one."""
    if not isinstance(metalearner, MAML):
        return {}
    found = {}
    for name in filter(metalearner.adapts, layers):
        rates = [metalearner.rate(name, step) for step in range(metalearner.options.inner_steps)]
        if not isinstance(rates[0], Tensor):
            return {}
        values = torch.stack([rate.reshape(-1) for rate in rates]).double().cpu().numpy()
        rows = np.column_stack([values.mean(1), *np.quantile(values, (0.05, 0.95), axis=1)])
        found[name] = rows[:1] if (rows == rows[0]).all() else rows
    return found


def _head(state: State) -> NDArray[np.float32] | None:
    if "head.weight" in state:
        rows = state["head.weight"]
    elif "weight" in state:
        rows = state["weight"].t()
    elif "prototypes" in state:
        rows = state["prototypes"]
    elif "sums" in state:
        rows = state["sums"] / state["counts"].clamp(min=1).unsqueeze(-1)
    else:
        return None
    return rows.float().cpu().numpy()
