"""Matching networks (Vinyals et al. 2016, equations 1-6)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from metalab.metalearners.base import MetaLearner, State, one_hot, scalar
from metalab.tasks import Examples


class Matching(MetaLearner):
    """A query takes the labels of the support examples, weighed by a softmax over cosine similarities.

    With full-context embeddings a bidirectional LSTM reads the whole support set into each of its features
    (section 2.1.2), and an LSTM with attention reads it into each query's (equations 3-6). The first takes
    the examples by the length of their features, so that their order cannot matter.
    """

    class Options(MetaLearner.Options):
        """Whether the support set is read as a context."""

        full_context: bool = Field(
            False, title="Full context", description="Read each example in the light of all others (FCE)."
        )
        reading_steps: int = Field(
            3, ge=1, le=20, title="Reading steps", description="Attention steps of a query over the context."
        )

    name, label, order = "matching", "Matching Networks", 12
    summary = "Votes among all examples by likeness. Good where a class has several looks."

    def __init__(self, backbone, options) -> None:
        super().__init__(backbone, options)
        self.log_temperature = scalar(3.0)
        if options.full_context:
            d = backbone.feature_dim
            self.forwards, self.backwards = nn.LSTMCell(d, d), nn.LSTMCell(d, d)
            self.reader = nn.LSTMCell(d, 2 * d)
            self.reader_out = nn.Linear(2 * d, d)
            # Contexts are added to the plain features: they start from nothing.
            self.context_scale, self.reading_scale = scalar(0.0), scalar(0.0)

    def adapt(self, support: Examples, way: int) -> State:
        """Return ``keys`` (n, d), ``labels`` (n, way) one-hot and ``weights`` (n,), 0 for padding."""
        keys, weights = self.backbone(support.x), support.weights()
        if self.options.full_context:
            keys = keys + self.context_scale * self._context(keys, weights)
        return {"keys": keys, "labels": one_hot(support.y, way, keys.dtype), "weights": weights}

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return the backbone's features (n, d), with the context read into them if asked for."""
        features = self.backbone(x)
        if self.options.full_context:
            features = features + self.reading_scale * self._read(features, state)
        return features

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return the logarithm of the attention that each class receives (n, way)."""
        likeness = F.normalize(features, dim=1) @ F.normalize(state["keys"], dim=1).t()
        scores = self.log_temperature.exp() * likeness + state["weights"].log()
        return torch.logsumexp(scores.unsqueeze(-1) + state["labels"].log(), dim=1)

    def _context(self, keys: Tensor, weights: Tensor) -> Tensor:
        """Return what the bidirectional LSTM says at each example (n, d)."""
        order = keys.norm(dim=1).argsort()
        back = order.argsort()
        ordered, weights = keys[order], weights[order]
        ahead = _run(self.forwards, ordered, weights)
        behind = _run(self.backwards, ordered.flip(0), weights.flip(0)).flip(0)
        return (ahead + behind)[back]

    def _read(self, features: Tensor, state: State) -> Tensor:
        """Return what the attention LSTM makes of each query (n, d) (equations 3-6)."""
        keys, missing = state["keys"], state["weights"].log()
        hidden = features.new_zeros(len(features), 2 * features.shape[1])
        memory = torch.zeros_like(hidden)
        for _ in range(self.options.reading_steps):
            attention = F.softmax(self.reader_out(hidden) @ keys.t() / keys.shape[1] ** 0.5 + missing, dim=1)
            hidden = hidden + F.pad(attention @ keys, (0, keys.shape[1]))
            hidden, memory = _cell(self.reader, features, hidden, memory)
        return self.reader_out(hidden)


def _run(cell: nn.LSTMCell, inputs: Tensor, weights: Tensor) -> Tensor:
    """Return the hidden state (n, d) after each of ``inputs`` (n, d); padding leaves it as it was."""
    hidden = inputs.new_zeros(1, cell.hidden_size)
    memory, outputs = torch.zeros_like(hidden), []
    for i in range(len(inputs)):
        new_hidden, new_memory = _cell(cell, inputs[i : i + 1], hidden, memory)
        hidden = hidden + weights[i] * (new_hidden - hidden)
        memory = memory + weights[i] * (new_memory - memory)
        outputs.append(hidden)
    return torch.cat(outputs)


def _cell(cell: nn.LSTMCell, x: Tensor, hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """One LSTM step, composite: the fused cell has no rule under vmap."""
    gates = F.linear(x, cell.weight_ih, cell.bias_ih) + F.linear(hidden, cell.weight_hh, cell.bias_hh)
    write, keep, new, read = gates.chunk(4, dim=1)
    memory = torch.sigmoid(keep) * memory + torch.sigmoid(write) * torch.tanh(new)
    return torch.sigmoid(read) * torch.tanh(memory), memory
