"""Segmentation: find the pixels of new classes of objects from a few painted pictures."""

from metalab.applications.base import Application
from metalab.baselines_dense import MASK_BASELINES

SHAPES = ((1, 1, 6), (1, 5, 4), (2, 3, 3), (3, 1, 3))
"""One model for any way and shot: tasks of several shapes in turn."""

APPLICATION = Application(
    name="segmentation",
    label="Segmentation",
    summary="Paint the pixels of new kinds of objects, from a few painted pictures.",
    metric="mean IoU",
    metric_help="Overlap of predicted and true pixels over their union, averaged over classes.",
    sources=("scenes", "annotated"),
    backbones=("pyramid", "photo-pyramid"),
    baselines=MASK_BASELINES,
    defaults={
        "source": "scenes",
        "backbone": "pyramid",
        "metalearner": "guided-masks",
        "episodes": "mixed",
        "channels": 3,
        "image_size": 64,
        "way": 1,
        "shot": 5,
        "query": 5,
        "pretrain_steps": 2500,
        "steps": 1500,
        "validate_every": 250,
        "validation_tasks": 60,
        "test_tasks": 200,  # training from scratch, a baseline, takes seconds a task
    },
    train_shapes=SHAPES,
)
