"""The common meta-learners on pictures of spoken words: a word is a class like any other."""

from __future__ import annotations

from metalab.metalearners.film import FiLM
from metalab.metalearners.maml import MAML
from metalab.metalearners.protonet import ProtoNet
from metalab.metalearners.r2d2 import R2D2

OF = "speech-recognition"


class WordProtoNet(ProtoNet):
    """A word is the mean of its recordings."""

    application, name, label, order = OF, "word-protonet", "ProtoNet", 10
    summary = "Compares a recording with the average of each word's examples. Fast; start here."


class WordR2D2(R2D2):
    """A ridge head, solved in closed form."""

    application, name, label, order = OF, "word-r2d2", "Ridge head (R2-D2)", 40
    summary = "Solves for the best linear classifier of words at once."


class WordFiLM(FiLM):
    """A hypernetwork reads the examples and modulates the listener."""

    application, name, label, order = OF, "word-film", "FiLM hypernetwork", 31
    summary = "A network reads the examples and adjusts the listener."


class WordMAML(MAML):
    """A few gradient steps on the whole listener."""

    application, name, label, order = OF, "word-maml", "MAML", 20
    summary = "A few gradient steps on the whole listener."
