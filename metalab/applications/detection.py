"""Detection: find new kinds of objects and put boxes around them, from a few boxed pictures."""

from metalab.applications import segmentation
from metalab.applications.base import Application
from metalab.baselines_dense import BOX_BASELINES

APPLICATION = Application(
    name="detection",
    label="Detection",
    summary="Put boxes around new kinds of objects, from a few boxed pictures.",
    metric="AP50",
    metric_help="COCO's average precision: boxes count as found from an overlap of one half.",
    sources=("scenes", "annotated"),
    backbones=("pyramid", "photo-pyramid"),
    baselines=BOX_BASELINES,
    defaults={**segmentation.APPLICATION.defaults, "metalearner": "guided-boxes"},
    train_shapes=segmentation.SHAPES,
)
