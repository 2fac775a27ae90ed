"""Tokens are examples like any other: common meta-learners that classify the tokens of a text.

Each token of a support passage is an example: outside the answer, its beginning, or its inside.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metalab.metalearners.anil import ANIL
from metalab.metalearners.base import MetaLearner, State
from metalab.metalearners.film import FiLM
from metalab.metalearners.maml import MAML
from metalab.metalearners.pixels import Pixels
from metalab.metalearners.protonet import ProtoNet
from metalab.metalearners.r2d2 import R2D2
from metalab.spans import as_outputs, span_loss
from metalab.tasks import Examples

LABELS = 3
SHARES = (0.4, 0.3, 0.3)
"""Weight of all tokens outside, of beginnings and of insides in the support set."""


class Tokens(Pixels):
    """Runs ``method`` on tokens: support labels (n, length) are those of its examples."""

    application = "question-answering"

    def adapt(self, support: Examples, way: int) -> State:
        """Return the inner method's state for the labels of tokens; ``way`` is 1."""
        return self.inner.adapt(token_examples(support), LABELS)

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the inner method's path."""
        return self.inner.path(token_examples(support), LABELS)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return logits (n, 3, 1, length), see :mod:`metalab.spans`."""
        return as_outputs(MetaLearner.predict(self, state, x), x)

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the loss of the query answers and the logits."""
        outputs = self.predict(self.adapt(support, way), query.x)
        return span_loss(outputs, query.y), outputs


class TokenProtoNet(Tokens):
    """A label is the mean feature of its tokens."""

    method, Options = ProtoNet, ProtoNet.Options
    name, label, order = "token-protonet", "ProtoNet on tokens", 10
    summary = "Compares each token with the average token of answers. Fast; start here."


class TokenR2D2(Tokens):
    """A ridge head per token, solved in closed form."""

    method, Options = R2D2, R2D2.Options
    name, label, order = "token-r2d2", "Ridge head on tokens (R2-D2)", 40
    summary = "Solves for the best linear classifier of tokens at once."


class TokenANIL(Tokens):
    """The inner loop adapts the token head."""

    method, Options = ANIL, ANIL.Options
    name, label, order = "token-anil", "ANIL on tokens", 22
    summary = "A few gradient steps on the classifier of tokens."


class TokenMAML(Tokens):
    """The inner loop adapts the whole reader to the support answers."""

    method, Options = MAML, MAML.Options
    name, label, order = "token-maml", "MAML on tokens", 20
    summary = "A few gradient steps on the whole reader."


class TokenFiLM(Tokens):
    """A hypernetwork reads the support answers and modulates the reader."""

    method, Options = FiLM, FiLM.Options
    name, label, order = "token-film", "FiLM hypernetwork on tokens", 31
    summary = "A network reads the examples and adjusts the reader."


def token_examples(support: Examples) -> Examples:
    """Return ``support`` with a label (n * length,) of each token; ``mask`` holds weights.

    Together they are as many as the tokens; questions, padding and texts that do not count weigh nothing.
    """
    y = support.y.clamp(min=0).flatten()
    counts = (support.y >= 0).to(support.x.dtype)
    if support.mask is not None:
        counts = counts * support.mask.to(counts.dtype)[:, None]
    member = (y[:, None] == torch.arange(LABELS, device=y.device)).to(counts.dtype) * counts.view(-1, 1)
    each = len(y) * member.new_tensor(SHARES) / member.sum(0).clamp(min=1)
    return Examples(support.x, y, member @ each)
