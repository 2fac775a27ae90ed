"""What meta-learners of boxes share: the level that a dense head looks at, and the loss of its outputs."""

from __future__ import annotations

from torch import Tensor

from metalab.backbones.base import Params
from metalab.boxes import box_targets
from metalab.metalearners.base import MetaLearner, State
from metalab.metalearners.guided import box_loss
from metalab.tasks import Examples


class Detector(MetaLearner):
    """Puts out (n, way, 5, h, w), as :func:`metalab.boxes.decode_boxes` takes it."""

    application = "detection"

    def params(self, state: State) -> Params:
        """Return the backbone's parameters in ``state``: its own, unless the method adapts them."""
        return self.backbone.params()

    def level(self, params: Params, x: Tensor) -> Tensor:
        """Return the features (n, 64, h, w) of each place of pictures ``x`` under ``params``."""
        return self.backbone.levels(params, x)[1]

    def inside(self, support: Examples, way: int, level: Tensor) -> Tensor:
        """Return how far inside a box of each class each place lies (n, way, h, w); padding: not at all."""
        inside = box_targets(support.y, way, *level.shape[2:])[0]
        if support.mask is not None:
            inside = inside * support.mask.to(inside)[:, None, None, None]
        return inside

    def forward(self, support: Examples, query: Examples, way: int) -> tuple[Tensor, Tensor]:
        """Return the loss of the query pictures' boxes and the outputs."""
        outputs = self.predict(self.adapt(support, way), query.x)
        return box_loss(outputs, query.y), outputs
