"""Image classification: tell new classes from a few pictures of each."""

from metalab.applications.base import Application
from metalab.baselines import BASELINES

APPLICATION = Application(
    name="image-classification",
    label="Image classification",
    summary="Tell new classes apart from a few pictures of each.",
    metric="accuracy",
    metric_help="Share of query pictures that are classified rightly.",
    sources=("glyphs", "digits", "omniglot", "image-folder"),
    backbones=("conv4", "resnet12", "photo"),
    baselines=BASELINES,
    least_way=2,
)
