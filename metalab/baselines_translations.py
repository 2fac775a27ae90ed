"""What meta-learning must beat on translations: what a user can have without it, on the same tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from metalab.backbones import Backbone
from metalab.baselines import Method
from metalab.baselines_writing import from_scratch, ridge_over, said, unadapted, written
from metalab.data.pairs import Pair
from metalab.renderings import likeness
from metalab.tasks import Task
from metalab.tuning import fitted, nearest_codes

TUNED_STEPS, TUNED_RATE = 40, 1e-3
"""Of fine-tuning the multilingual writer; chosen on meta-validation."""


def _nearest(support: Sequence[Pair], source: str) -> str:
    return max(support, key=lambda pair: likeness(pair.source, source)).target


def _closest_language(backbone: Backbone) -> Method:
    """The writer with the code of the seen language under which the examples are likeliest."""

    def method(task: Task, number: int) -> Tensor:
        groups, _ = nearest_codes(backbone, task.support)
        params = backbone.params()
        film = backbone.film_of(params, params["codes"][groups[0]])
        return written(backbone, params, task.query.x, film)

    return method


def _fine_tuned(backbone: Backbone) -> Method:
    """The multilingual writer, all its weights fine-tuned on the support pairs."""

    def method(task: Task, number: int) -> Tensor:
        none = torch.zeros_like(backbone.codes[0])
        moved = fitted(backbone, task.support, none, TUNED_STEPS, TUNED_RATE)
        params = {**backbone.params(), **moved}
        return written(backbone, params, task.query.x, backbone.film_of(params, moved["code"]))

    return method


TRANSLATION_BASELINES = [
    ("un-adapted", "Un-adapted multilingual writer", unadapted),
    ("copy", "The source itself", said(lambda support, source: source)),
    ("memory", "Translation of the nearest example", said(_nearest)),
    ("closest-language", "Writer of the closest seen language", _closest_language),
    ("fine-tuned", "Multilingual writer, fine-tuned on the examples", _fine_tuned),
    ("ridge", "Ridge regression over the chooser's renderings", ridge_over("translate-choose")),
    ("from-scratch", "From scratch on the support set", from_scratch),
]
