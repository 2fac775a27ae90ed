"""What an application brings to the common engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from metalab.baselines import Method
from metalab.metalearners.base import score
from metalab.tasks import Examples


@dataclass(frozen=True)
class Application:
    """One kind of task: its sources, backbones, metric and baselines; its meta-learners name it themselves.

    ``metric`` is what tables show as a share, higher is better. ``defaults`` are the settings of
    :class:`metalab.config.Config` that differ from those of image classification. ``train_shapes`` (way,
    shot, query) are the shapes of meta-training tasks, in turn; empty: those of the configuration.
    ``backbones`` and ``sources`` are the values of those settings that suit. ``baselines`` hold name, label
    and maker of each. ``unused`` names settings that mean nothing here, so forms leave them out; ``words``
    gives title and description of settings where those of images do not fit. ``judge`` turns outputs and the
    query examples of a held-out task into the metric. ``fitted`` are further baselines whose maker also takes
    the task source, from whose meta-train they learn. ``validated`` names what training and meta-validation
    measure, where that is not the metric.
    """

    name: str
    label: str
    summary: str
    metric: str
    metric_help: str
    sources: tuple[str, ...]
    backbones: tuple[str, ...]
    baselines: list[tuple[str, str, Callable[[Any], Method]]]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    train_shapes: tuple[tuple[int, int, int], ...] = ()
    least_way: int = 1
    unused: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    judge: Callable[[Tensor, Examples], Tensor] = score
    fitted: tuple[tuple[str, str, Callable[[Any, Any], Method]], ...] = ()
    validated: str = ""

    def shape(self, way: int, shot: int) -> str:
        """Return e.g. "5-way 1-shot"; without the way where it means nothing."""
        return f"{shot}-shot" if "way" in self.unused else f"{way}-way {shot}-shot"
