"""Places are examples like any other: what methods that classify pixels, or words, of an input share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from metalab.metalearners.base import MetaLearner, State
from metalab.tasks import Examples


@dataclass(frozen=True)
class Labelling:
    """How the places of an application's inputs are labelled.

    ``count`` is the number of labels in a task of a way. ``examples`` gives the support set with a label of
    each place, ``mask`` holding weights. ``shaped`` turns logits (places, labels) of inputs into the
    application's outputs, and ``loss`` judges these by the targets.
    """

    count: Callable[[int], int]
    examples: Callable[[Examples, int], Examples]
    shaped: Callable[[Tensor, Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]


class Places(MetaLearner):
    """Runs ``method`` on the places of inputs, labelled as ``labelling`` says."""

    method: ClassVar[type[MetaLearner]]
    labelling: ClassVar[Labelling]

    def __init__(self, backbone, options) -> None:
        nn.Module.__init__(self)
        self.inner = self.method(backbone, options)

    @property
    def backbone(self) -> Any:
        """The inner method's."""
        return self.inner.backbone

    @property
    def options(self) -> Any:
        """The inner method's."""
        return self.inner.options

    @property
    def progress(self) -> Tensor:
        """The inner method's."""
        return self.inner.progress

    def adapt(self, support: Examples, way: int) -> State:
        """Return the inner method's state for all labels of the task."""
        return self.inner.adapt(self.labelling.examples(support, way), self.labelling.count(way))

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the inner method's path."""
        return self.inner.path(self.labelling.examples(support, way), self.labelling.count(way))

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return features (places, d)."""
        return self.inner.features(state, x)

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return logits (places, labels)."""
        return self.inner.classify(state, features)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return the application's outputs for inputs ``x``."""
        return self.labelling.shaped(super().predict(state, x), x)

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the loss of the query targets and the outputs."""
        outputs = self.predict(self.adapt(support, way), query.x)
        return self.labelling.loss(outputs, query.y), outputs


def balanced(y: Tensor, counts: Tensor, shares: Tensor) -> Tensor:
    """Return a weight (places,) of each place, so that a common label does not drown a rare one.

    ``y`` (places,) are labels, ``counts`` (places,) is 0 for places that weigh nothing, else 1, and
    ``shares`` (labels,) is how much all places of a label weigh together; in sum as much as there are places.
    """
    member = (y[:, None] == torch.arange(len(shares), device=y.device)).to(counts.dtype) * counts[:, None]
    each = len(y) * shares / member.sum(0).clamp(min=1)
    return member @ each
