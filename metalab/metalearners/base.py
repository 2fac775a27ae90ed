"""The interface of every meta-learner, and the arithmetic that several share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from metalab.backbones import Backbone
from metalab.metrics import average_precision, mean_iou
from metalab.spans import span_f1
from metalab.tasks import Examples
from metalab.writing import likeliness

FAMILIES = {1: "metric-based", 2: "gradient-based", 3: "neural", 4: "closed-form head", 5: "transductive"}

State = dict[str, Tensor]
"""What adaptation yields: a flat dictionary of tensors, all that :meth:`MetaLearner.predict` needs."""


class MetaLearner(nn.Module, ABC):
    """Learns how to adjust a backbone to a task.

    ``adapt(support) -> state`` and ``predict(state, x)`` are pure functions of the module's parameters and
    their arguments, differentiable, and written for one task; batches of tasks are run by
    :mod:`metalab.execution`. Both work with any number of classes and examples.
    """

    class Options(BaseModel):
        """Settings of the method; the CLI and the form are made from them."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    application: ClassVar[str] = "image-classification"
    """What it is for; its tasks, losses and scores are that application's."""
    name: ClassVar[str]
    label: ClassVar[str]
    summary: ClassVar[str]
    """One sentence for a user choosing a method."""
    order: ClassVar[int]
    """Place in lists; its tens name the family (:data:`FAMILIES`)."""
    uses_other_queries: ClassVar[bool] = False
    """Whether the method itself looks at all query examples together."""
    one_by_one: ClassVar[bool] = False
    """Whether tasks cannot be batched, on any device: the method looks at texts."""
    cpu_strategy: ClassVar[tuple[str, str] | None] = None
    """How tasks are run on a CPU, plain and recorded; None: by a rule (:mod:`metalab.execution`)."""

    def __init__(self, backbone: Backbone, options: BaseModel) -> None:
        super().__init__()
        self.backbone = backbone.eval()  # a fresh module would measure running statistics
        self.options = options
        self.register_buffer("progress", torch.zeros(()), persistent=False)
        """Share of meta-training that is done, set by the outer loop; for losses that anneal."""

    @abstractmethod
    def adapt(self, support: Examples, way: int) -> State:
        """Adapt to ``support`` (x (n, C, H, W), y (n,) in 0..way-1) and return the state.

        In regression y holds targets (n, way), and ``way`` is their number.
        """

    def features(self, state: State, x: Tensor) -> Tensor:
        """Return features (n, d) of ``x`` under the adapted backbone; by default it is not adapted."""
        return self.backbone(x)

    def classify(self, state: State, features: Tensor) -> Tensor:
        """Return logits (n, way) from :meth:`features`; those that write texts have none."""
        raise NotImplementedError(f"{self.name} does not classify")

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return logits (n, way) of ``x`` (n, C, H, W)."""
        return self.classify(state, self.features(state, x))

    def path(self, support: Examples, way: int) -> dict[str, State]:
        """Return the states that adaptation passes through, by name, in order; the last is the result."""
        return {"adapted": self.adapt(support, way)}

    def trial(self, support: Examples, query: Examples, way: int) -> Tensor:
        """Return the outputs that meta-validation scores."""
        return self.predict(self.adapt(support, way), query.x)

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the meta-loss of one task, its mean query loss after adaptation, and the outputs."""
        outputs = self.trial(support, query, way)
        return self.loss(outputs, query), outputs

    def loss(self, outputs: Tensor, examples: Examples) -> Tensor:
        """Return the mean loss of ``outputs`` over ``examples``."""
        return task_loss(outputs, examples)

    def score(self, outputs: Tensor, examples: Examples) -> Tensor:
        """Return how good ``outputs`` are, higher is better: what meta-validation compares."""
        return score(outputs, examples)

    @property
    def transductive(self) -> bool:
        """Whether a prediction depends on the other query examples."""
        return self.uses_other_queries or self.backbone.transductive

    def train(self, mode: bool = True) -> MetaLearner:
        """Stay in evaluation mode: nothing here may depend on a hidden mode or measure statistics."""
        return super().train(False)


def task_loss(outputs: Tensor, examples: Examples) -> Tensor:
    """Return the mean loss of ``outputs`` (n, way) over the examples that are not padding.

    Cross-entropy for class labels ``y`` (n,) int64; squared error for targets ``y`` (n, way) float.
    """
    if examples.y.is_floating_point():
        losses = (outputs - examples.y).square().mean(-1)
    else:
        losses = F.cross_entropy(outputs, examples.y, reduction="none")
    if examples.mask is None:
        return losses.mean()
    weights = examples.weights()
    return (losses * weights).sum() / weights.sum()


def one_hot(y: Tensor, way: int, dtype: torch.dtype) -> Tensor:
    """Return ``y`` (n,) as rows (n, way). Not F.one_hot: it asks for values, so cannot be recorded."""
    return (y.unsqueeze(-1) == torch.arange(way, device=y.device)).to(dtype)


def targets(examples: Examples, way: int) -> Tensor:
    """Return what a linear head should put out (n, way): one-hot classes, or the regression targets."""
    if examples.y.is_floating_point():
        return examples.y
    return one_hot(examples.y, way, examples.x.dtype)


def class_sums(features: Tensor, support: Examples, way: int) -> tuple[Tensor, Tensor]:
    """Return the sum (way, d) of each class's support features, and the number of its examples (way,)."""
    member = one_hot(support.y, way, features.dtype) * support.weights().unsqueeze(-1)
    return member.t() @ features, member.sum(0)


def class_means(features: Tensor, support: Examples, way: int) -> Tensor:
    """Return the mean feature (way, d) of each class's support examples; zero for a class without any."""
    sums, counts = class_sums(features, support, way)
    return sums / counts.clamp(min=1).unsqueeze(-1)


def mean_and_deviation(coded: Tensor, weights: Tensor) -> Tensor:
    """Return mean and deviation (2 * d,) of ``coded`` (n, d), each example weighing ``weights`` (n,)."""
    weights = weights.unsqueeze(-1)
    mean = (coded * weights).sum(0) / weights.sum()
    spread = ((coded - mean).square() * weights).sum(0) / weights.sum()
    return torch.cat([mean, (spread + 1e-6).sqrt()])


def centroid_head(centroids: Tensor) -> State:
    """Return the linear head whose outputs are minus the squared distances to ``centroids`` (way, d).

    Up to a term common to all classes: ``head.weight`` (way, d) and ``head.bias`` (way,).
    """
    return {"head.weight": 2 * centroids, "head.bias": -centroids.square().sum(-1)}


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return squared Euclidean distances (n, m) between rows of ``a`` (n, d) and ``b`` (m, d)."""
    return (a.square().sum(-1, keepdim=True) - 2 * a @ b.t() + b.square().sum(-1)).clamp(min=0)


def score(outputs: Tensor, examples: Examples) -> Tensor:
    """Return how good ``outputs`` (..., n, way) are, one number a task (...,).

    The share of examples whose largest output is the label; for regression, the mean squared error. Outputs
    of segmentation (n, way + 1, height, width), detection (n, way, 5, ·, ·) and question answering (n, 3, 1,
    length) are scored as their applications do, one task at a time. Log probabilities (..., n, length) of
    texts to be written, shaped as these, give the geometric mean probability of a sub-word.
    """
    if outputs.ndim == examples.y.ndim and not examples.y.is_floating_point():
        return likeliness(outputs, examples.y)
    if outputs.ndim == 4:
        dense = span_f1 if examples.y.ndim == 2 else mean_iou
        return dense(outputs, examples.y)
    if outputs.ndim == 5:
        return average_precision(outputs, examples.y)
    if examples.y.is_floating_point():
        each = (outputs - examples.y).square().mean(-1)
    else:
        each = (outputs.argmax(-1) == examples.y).to(outputs.dtype)
    if examples.mask is None:
        return each.mean(-1)
    weights = examples.weights().to(each.dtype)
    return (each * weights).sum(-1) / weights.sum(-1)


def scalar(value: float) -> nn.Parameter:
    """Return a learnable number."""
    return nn.Parameter(torch.tensor(float(value)))
