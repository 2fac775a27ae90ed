"""Tokens are examples like any other: common meta-learners that classify the tokens of a text.

Each token of a support passage is an example: outside the answer, its beginning, or its inside.
"""

from __future__ import annotations

from metalab.data.questions import LABELS
from metalab.metalearners.anil import ANIL
from metalab.metalearners.film import FiLM
from metalab.metalearners.maml import MAML
from metalab.metalearners.places import Labelling, Places, balanced
from metalab.metalearners.protonet import ProtoNet
from metalab.metalearners.r2d2 import R2D2
from metalab.spans import as_outputs, span_loss
from metalab.tasks import Examples

SHARES = (0.4, 0.3, 0.3)
"""Weight of all tokens outside, of beginnings and of insides in the support set."""


def token_examples(support: Examples) -> Examples:
    """Return ``support`` with a label (n * length,) of each token; ``mask`` holds weights.

    Together they are as many as the tokens; questions, padding and texts that do not count weigh nothing.
    """
    y = support.y.clamp(min=0).flatten()
    counts = (support.y >= 0).to(support.x.dtype)
    if support.mask is not None:
        counts = counts * support.mask.to(counts.dtype)[:, None]
    return Examples(support.x, y, balanced(y, counts.flatten(), counts.new_tensor(SHARES)))


ANSWERS = Labelling(lambda way: LABELS, lambda support, way: token_examples(support), as_outputs, span_loss)
"""Of tokens: outside the answer, its beginning, its inside, whatever the way."""


class Tokens(Places):
    """Runs a method on tokens: support labels (n, length) are those of its examples.

    Outputs are logits (n, 3, 1, length), see :mod:`metalab.spans`.
    """

    application, labelling = "question-answering", ANSWERS


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
