"""What metalab's speed is measured against: learn2learn 0.2.0, or a reproduction of the parts that run.

learn2learn's last release does not install on Python 3.11 as it is. This does, in half a minute::

    pip install cython wheel "setuptools<80"
    pip download learn2learn==0.2.0 --no-deps --no-binary :all: --no-build-isolation
    tar xzf learn2learn-0.2.0.tar.gz && cd learn2learn-0.2.0
    for f in meta_dataset task_dataset transforms; do
        cython -3 learn2learn/data/$f.pyx -o learn2learn/data/$f.c
    done
    pip install --no-build-isolation --no-deps .

It imports gym, qpth and torchvision, none of which its MAML uses; :func:`learn2learn` puts empty modules in
their place. Where it is absent, the reproduction below stands in: its ``MAML.clone`` and ``adapt`` (every
parameter cloned, the gradient taken with ``create_graph``, the parameters replaced) and its ``CNN4Backbone``
(convolutions with a bias, then ``BatchNorm2d`` in training mode, ReLU, max-pooling). Both were checked to
give the same gradients and, to a few per cent, the same time.
"""

from __future__ import annotations

import copy
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.metalearners import MetaLearner
from metalab.tasks import Task, TaskBatch

_UNUSED = (
    "gym",
    "qpth",
    "learn2learn.gym",
    "learn2learn.text",
    "learn2learn.vision.datasets",
    "learn2learn.vision.transforms",
    "learn2learn.vision.benchmarks",
)


def learn2learn() -> Any | None:
    """Return the package learn2learn, or None where it is not installed."""
    if importlib.util.find_spec("learn2learn") is None:
        return None
    for name in _UNUSED:
        sys.modules.setdefault(name, types.ModuleType(name))
    return importlib.import_module("learn2learn")


class _Learner(nn.Module):
    """Reproduction of ``learn2learn.algorithms.MAML``."""

    def __init__(self, module: nn.Module, lr: float) -> None:
        super().__init__()
        self.module, self.lr = module, lr

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)

    def clone(self) -> _Learner:
        return _Learner(_replaced(self.module, lambda p: p.clone()), self.lr)

    def adapt(self, loss: Tensor) -> None:
        parameters = list(self.module.parameters())
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        steps = {p: -self.lr * g for p, g in zip(parameters, gradients, strict=True)}
        self.module = _replaced(self.module, lambda p: p + steps[p])


def _replaced(module: nn.Module, change: Callable[[Tensor], Tensor]) -> nn.Module:
    """Return a copy of ``module`` whose parameters are ``change`` of its own, still in its graph."""
    clone = copy.copy(module)
    clone._parameters = {k: None if p is None else change(p) for k, p in module._parameters.items()}
    clone._modules = {k: None if m is None else _replaced(m, change) for k, m in module._modules.items()}
    return clone


def _cnn4() -> nn.Module:
    """Reproduction of ``learn2learn.vision.models.CNN4Backbone`` of width 64."""

    def block(channels: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(channels, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)
        )

    return nn.Sequential(block(1), block(64), block(64), block(64), nn.Flatten())


class Peer(nn.Module):
    """One algorithm as learn2learn's examples write it: a loop over tasks, ``backward`` after each.

    ``method`` is maml, anil, protonet or r2d2; ``network`` "cnn4" (images of ``size``) or "mlp" (1-40-40-1).
    ``original`` False takes the reproduction even where learn2learn is installed.
    """

    def __init__(
        self,
        method: str,
        network: str,
        size: int,
        way: int,
        steps: int,
        lr: float,
        original: bool = True,
    ) -> None:
        super().__init__()
        package = learn2learn() if original else None
        maml = package.algorithms.MAML if package else _Learner
        self.source = f"learn2learn {package.__version__}" if package else "reproduction of learn2learn 0.2.0"
        self.method, self.steps, self.way = method, steps, way
        if network == "mlp":
            self.features: nn.Module = nn.Sequential(
                nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU()
            )
        elif package:
            self.features = package.vision.models.CNN4Backbone(hidden_size=64, channels=1)
        else:
            self.features = _cnn4()
        self.head = nn.Linear(40 if network == "mlp" else 64 * (size // 16) ** 2, way)
        self.scalars = nn.ParameterDict()
        if method == "maml":
            self.learner = maml(nn.Sequential(self.features, self.head), lr=lr)
        elif method == "anil":
            self.learner = maml(self.head, lr=lr)

    def load(self, learner: MetaLearner) -> None:
        """Take the parameters of metalab's ``learner``. Biases under a norm, which it lacks, are zero."""
        with torch.no_grad():
            for module in self.features.modules():
                if isinstance(module, nn.Conv2d):
                    module.bias.zero_()
            for name, own in self._twins().items():
                own.copy_(learner.backbone.params()[name])
            if hasattr(learner, "head_weight"):
                self.head.weight.copy_(learner.head_weight.expand_as(self.head.weight))
                self.head.bias.copy_(learner.head_bias.expand_as(self.head.bias))
        for name, value in learner.named_parameters(recurse=False):
            if value.dim() == 0 and name != "head_bias":
                self.scalars[name] = nn.Parameter(value.detach().clone())
        self.to(next(learner.parameters()).dtype)

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradients of the last :meth:`step` by metalab's names.

        metalab's head is one vector shared by all classes: its gradient is the sum over the rows.
        """
        found = {f"backbone.{name}": own.grad for name, own in self._twins().items()}
        if self.method in ("maml", "anil"):
            found |= {"head_weight": self.head.weight.grad.sum(0), "head_bias": self.head.bias.grad.sum()}
        return found | {name: own.grad for name, own in self.scalars.items()}

    def step(self, batch: TaskBatch) -> None:
        """Compute the gradients of the mean loss over ``batch``."""
        self.zero_grad()
        for task in batch:
            (self._loss(task) / len(batch)).backward()

    def _twins(self) -> dict[str, Tensor]:
        """Return this network's parameters by the names of metalab's backbone."""

        def numbered(kind: type[nn.Module]) -> Iterator[tuple[int, Any]]:
            return enumerate(module for module in self.features.modules() if isinstance(module, kind))

        found: dict[str, Tensor] = {f"conv{i}": conv.weight for i, conv in numbered(nn.Conv2d)}
        for i, norm in numbered(nn.BatchNorm2d):
            found |= {f"norm{i}_weight": norm.weight, f"norm{i}_bias": norm.bias}
        for i, linear in numbered(nn.Linear):
            found |= {f"weight{i}": linear.weight, f"bias{i}": linear.bias}
        return found

    def _loss(self, task: Task) -> Tensor:
        support, query = task.support, task.query
        criterion = F.mse_loss if query.y.is_floating_point() else F.cross_entropy
        if self.method == "maml":
            learner = self.learner.clone()
            for _ in range(self.steps):
                learner.adapt(criterion(learner(support.x), support.y))
            return criterion(learner(query.x), query.y)
        known, asked = self.features(support.x), self.features(query.x)
        if self.method == "anil":
            learner = self.learner.clone()
            for _ in range(self.steps):
                learner.adapt(criterion(learner(known), support.y))
            return criterion(learner(asked), query.y)
        member = F.one_hot(support.y, self.way).to(known.dtype)
        if self.method == "protonet":
            means = member.t() @ known / member.sum(0).unsqueeze(1)
            distances = (asked.unsqueeze(1) - means).square().sum(2)
            return criterion(-distances * self.scalars["log_temperature"].exp() / known.shape[1], query.y)
        known, asked = (F.pad(x / x.shape[1] ** 0.5, (0, 1), value=1.0) for x in (known, asked))
        gram = known @ known.t() + self.scalars["log_ridge"].exp() * torch.eye(len(known)).to(known)
        weight = known.t() @ torch.linalg.solve(gram, member)
        return criterion(self.scalars["log_scale"].exp() * asked @ weight + self.scalars["bias"], query.y)
