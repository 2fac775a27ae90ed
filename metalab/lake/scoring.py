"""Scores of a one-shot task: a matcher, several views of each training drawing, and a correction of hubs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from metalab.data.strokes import Warp, render, still, strokes
from metalab.lake.matcher import SIZE, Features, Matcher

VIEWS = {"turn": 0.15, "stretch_x": 0.15, "stretch_y": 0.15, "shear": 0.2}
"""Each training drawing is also seen with each of these changes, up and down: nine views."""
HUB = 0.25
"""Share of a training drawing's likeness to the other training drawings that is taken off its scores."""
NEIGHBOURS = 3


def one_shot_scores(matchers: Sequence[Matcher], training: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return scores (m, n) of drawings ``test`` (m, 105, 105) with ``training`` (n, 105, 105), ink = True.

    The views count as a mixture (logsumexp). A drawing that is like many others would attract too many: so a
    quarter of its mean score with its three nearest among the other *training* drawings is taken off, in the
    manner of CSLS (Conneau et al. 2018, section 2.3), which would use the test drawings too. Inductive: a row
    depends on its own test drawing and on the training drawings.
    """
    with torch.no_grad():
        queries, known = strokes(test), strokes(training)
        query = render(queries, still(len(test)), SIZE)
        views = [render(known, view, SIZE) for view in _views(len(training))]
        return torch.stack([_scores(matcher, query, views) for matcher in matchers]).mean(0).numpy()


def _scores(matcher: Matcher, query: Tensor, views: list[Tensor]) -> Tensor:
    seen, known = matcher(query), [matcher(view) for view in views]
    scores = torch.stack([_total(matcher, seen, view) for view in known]).logsumexp(0)
    among = _total(matcher, known[0], known[0]).fill_diagonal_(-torch.inf)
    nearest = among.topk(min(NEIGHBOURS, len(among) - 1), dim=0).values.mean(0)
    return scores - HUB * nearest


def _total(matcher: Matcher, a: Features, b: Features) -> Tensor:
    overall, local = matcher.scores(a, b)
    return overall + local


def _views(n: int) -> list[Warp]:
    """Return the warps of ``n`` drawings, the unchanged one first."""
    plain = still(n)
    changed = [
        plain._replace(**{name: torch.full((n,), sign * size)})
        for name, size in VIEWS.items()
        for sign in (1, -1)
    ]
    return [plain, *changed]
