"""A small model and one task seen at every moment, for tests of figures and pages."""

from __future__ import annotations

import torch

from metalab.backbones import Backbone, create_backbone
from metalab.config import Config
from metalab.data import create_source
from metalab.inspection import TaskView, inspect_task
from metalab.metalearners import MetaLearner, check_options, get_metalearner
from metalab.tasks import Task, TaskShape, task_at

CONFIG = Config.create(image_size=16, width=8)


def small(name: str = "maml", **options: object) -> tuple[MetaLearner, Backbone, Task]:
    """Return meta-learner ``name``, its pre-trained backbone, and a 3-way 2-shot task."""
    backbone = create_backbone(CONFIG).eval()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = get_metalearner(name)(create_backbone(CONFIG), check_options(name, options))
    return learner, backbone, task_at(create_source(CONFIG), 0, "test", TaskShape(3, 2, 4), 0)


def view_of(name: str = "maml", **options: object) -> TaskView:
    """Return :func:`small`'s task as its meta-learner sees it."""
    learner, backbone, task = small(name, **options)
    return inspect_task(learner, backbone, task, ["a", "<b>", "c"])
