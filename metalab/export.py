"""An adapted model for other runtimes: ONNX, from a raw image to probabilities, masks or boxes."""

from __future__ import annotations

import io
import json
import warnings
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.boxes import corners_of
from metalab.calibration import Confidence
from metalab.errors import ConfigError
from metalab.preparation import fit

if TYPE_CHECKING:
    from metalab.adaptation import AdaptedModel
    from metalab.picture_model import PictureModel

OPSET = 18


OUTPUTS = {"image-classification": "probabilities", "segmentation": "masks", "detection": "boxes"}


class _Whole(nn.Module):
    """(n, H, W, 3) uint8 → what :func:`onnx_bytes` says, preprocessing inside."""

    def __init__(self, model: AdaptedModel | PictureModel) -> None:
        super().__init__()
        self.metalearner = model.metalearner
        self.temperature = getattr(model, "confidence", Confidence()).temperature
        self.names = list(model.state)
        for number, tensor in enumerate(model.state.values()):
            self.register_buffer(f"state{number}", tensor)

    def forward(self, images: Tensor) -> Tensor:
        x = fit(images.movedim(3, 1).float() / 255, self.metalearner.backbone)
        state = {name: getattr(self, f"state{number}") for number, name in enumerate(self.names)}
        outputs = self.metalearner.predict(state, x)
        if self.metalearner.application == "detection":
            corners, scores = corners_of(outputs)
            side = self.metalearner.backbone.size
            return torch.cat([scores[..., None], corners / side], -1)
        return F.softmax(outputs / self.temperature, dim=1)


def onnx_bytes(model: AdaptedModel | PictureModel) -> bytes:
    """Return ``model`` as an ONNX file: input ``image`` (n, H, W, 3) uint8 of any n and size; the classes are
    in the file's metadata as JSON.

    The output is ``probabilities`` (n, way); of a segmenter ``masks``, probabilities of the ground and each
    class (n, 1 + way, side, side); of a detector ``boxes`` (n, way, places, 5): a score, then x1, y1, x2, y2
    as shares of the picture's sides, one box a place, overlapping ones not yet suppressed. Raises
    :class:`ConfigError` where the package onnx is missing or the method cannot be exported.
    """
    try:
        import onnx
    except ImportError:
        raise ConfigError("ONNX is not installed", where="export", fix="pip install onnx") from None
    if model.metalearner.transductive:
        raise ConfigError(
            "a transductive method judges many images together and cannot be exported",
            where=model.metalearner.label,
            fix="Adapt with an inductive one",
        )
    content, whole = io.BytesIO(), _Whole(model).eval()
    output = OUTPUTS[model.metalearner.application]
    example = torch.randint(0, 256, (2, 40, 56, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            whole,
            (example,),
            content,
            input_names=["image"],
            output_names=[output],
            dynamic_axes={"image": {0: "n", 1: "height", 2: "width"}, output: {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )
    graph = onnx.load_model_from_string(content.getvalue())
    entry = graph.metadata_props.add()
    entry.key, entry.value = "classes", json.dumps(model.classes)
    onnx.checker.check_model(graph)
    return graph.SerializeToString()
