"""A pointer that the support answers guide: which span of a new passage answers the same kind of question?

Each token of the query looks at all labelled tokens of the support set (attention, as matching networks do,
Vinyals et al. 2016, equations 1-2), at its likeness to the mean beginning, inside and outside token, and at
the logits of a ridge head solved on the support tokens (R2-D2). With these logits a small decoder starts, and
corrects them by what it sees; trained over all spans at once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.data.questions import LABELS
from metalab.metalearners.base import MetaLearner, State, scalar
from metalab.metalearners.r2d2 import extended, ridge
from metalab.metalearners.tokens import token_examples
from metalab.spans import as_outputs, span_loss
from metalab.tasks import Examples

HEADS, KEY = 4, 32
HIDDEN = 64
HIDDEN_BIAS = -1e4
"""Added to the likeness to tokens that nobody may look at."""


class GuidedSpans(MetaLearner):
    """Learnt across tasks, not adjusted to one by gradient: the support set enters as data."""

    application = "question-answering"
    name, label, order = "guided-spans", "Guided pointer", 30
    summary = "A small decoder reads the labelled answers and points at that of the new passage."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        width = backbone.feature_dim
        self.key = nn.Linear(width, HEADS * KEY, bias=False)
        self.log_sharpness = nn.Parameter(torch.full((HEADS,), 2.3))
        self.log_ridge, self.log_scale = scalar(0.0), scalar(2.0)
        # Nothing else: a decoder that sees the features themselves learns meta-train's kinds by heart.
        inputs = HEADS * LABELS + 2 * LABELS
        self.first = nn.Conv1d(inputs, HIDDEN, 3, padding=1)
        self.second = nn.Conv1d(HIDDEN, HIDDEN, 3, padding=2, dilation=2)
        self.first_norm, self.second_norm = nn.LayerNorm(HIDDEN), nn.LayerNorm(HIDDEN)
        self.out = nn.Linear(HIDDEN, LABELS)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``keys`` (heads, tokens, 32), ``values`` (tokens, 3), ``bias`` (tokens,) that hides what is
        no token of a passage, ``prototypes`` (3, d), and the ridge head's ``weight`` (d + 1, 3)."""
        features = self.backbone(support.x)
        held = token_examples(support)
        labels = F.one_hot(held.y, LABELS).to(features.dtype)
        known, weights = (held.mask > 0).to(features.dtype), held.mask[:, None]
        means = (labels * known[:, None]).t() @ F.normalize(features, dim=1)
        return {
            "keys": self._keys(features),
            "values": labels,
            "bias": HIDDEN_BIAS * (1 - known),
            "prototypes": F.normalize(means, dim=1),
            "weight": ridge(extended(features) * weights, labels * weights, self.log_ridge.exp()),
        }

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return what the decoder makes of each token, and the ridge head's logits: (n * length, 64 + 3)."""
        features = self.backbone(x)
        sharpness = self.log_sharpness.exp()[:, None, None]
        likeness = (self._keys(features) * sharpness) @ state["keys"].transpose(1, 2)
        read = (likeness + state["bias"]).softmax(-1) @ state["values"]  # (heads, tokens, 3)
        solved = self.log_scale.exp() * (extended(features) @ state["weight"])
        parts = [
            solved,
            read.permute(1, 0, 2).flatten(1),
            F.normalize(features, dim=1) @ state["prototypes"].t(),
        ]
        h = torch.cat(parts, 1).view(*x.shape[:2], -1).transpose(1, 2)
        h = F.relu(self._along(self.first_norm, self.first(h)))
        h = h + F.relu(self._along(self.second_norm, self.second(h)))
        return torch.cat([h.transpose(1, 2).flatten(0, 1), solved], 1)

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return logits (n * length, 3)."""
        return self.out(features[:, :HIDDEN]) + features[:, HIDDEN:]

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return logits (n, 3, 1, length), see :mod:`metalab.spans`."""
        return as_outputs(super().predict(state, x), x)

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the loss of the query answers and the logits."""
        outputs = self.predict(self.adapt(support, way), query.x)
        return span_loss(outputs, query.y), outputs

    def _keys(self, features: Tensor) -> Tensor:
        """Return unit keys (heads, tokens, 32)."""
        return F.normalize(self.key(features).unflatten(1, (HEADS, KEY)).transpose(0, 1), dim=-1)

    def _along(self, norm: nn.LayerNorm, h: Tensor) -> Tensor:
        return norm(h.transpose(1, 2)).transpose(1, 2)
