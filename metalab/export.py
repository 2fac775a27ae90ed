"""An adapted model for other runtimes: ONNX, from a raw image to probabilities, masks or boxes."""

from __future__ import annotations

import io
import json
import warnings
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.boxes import KEPT, LEAST_SCORE, OVERLAP, candidates, suppress
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
            return _found(outputs, self.metalearner.backbone.size)
        return F.softmax(outputs / self.temperature, dim=1)


class _Suppression(torch.autograd.Function):
    """Corners (m, k, 4) and scores (m, 1, k) → which boxes are kept (·, 3): first axis, 0, and place."""

    @staticmethod
    def forward(ctx: object, corners: Tensor, scores: Tensor) -> Tensor:
        kept = []
        for number, (boxes, points) in enumerate(zip(corners, scores[:, 0], strict=True)):
            sure = (points > LEAST_SCORE).nonzero()[:, 0]
            places = sure[suppress(boxes[sure])[:KEPT]]
            kept.append(F.pad(places[:, None], (2, 0)))
            kept[-1][:, 0] = number
        return torch.cat(kept)

    @staticmethod
    def symbolic(graph: Any, corners: Any, scores: Any) -> Any:
        """Return the operator of other runtimes that does the same."""
        limits = (torch.tensor([KEPT]), torch.tensor([OVERLAP]), torch.tensor([LEAST_SCORE]))
        values = [graph.op("Constant", value_t=limit) for limit in limits]
        return graph.op("NonMaxSuppression", corners, scores, *values)


def _found(outputs: Tensor, side: int) -> Tensor:
    """Return the boxes (k, 7) in a detector's ``outputs``, as :func:`onnx_bytes` says."""
    corners, scores = candidates(outputs)
    way = scores.shape[1]
    corners, scores = corners.flatten(0, 1), scores.flatten(0, 1)
    kept = _Suppression.apply(corners, scores[:, None])
    row, place = kept[:, 0], kept[:, 2]
    picture = torch.div(row, way, rounding_mode="floor")
    numbers = torch.stack([picture, row - picture * way], 1).to(scores.dtype)
    return torch.cat([numbers, scores[row, place][:, None], corners[row, place] / side], 1)


def onnx_bytes(model: AdaptedModel | PictureModel) -> bytes:
    """Return ``model`` as an ONNX file: input ``image`` (n, H, W, 3) uint8 of any n and size; the classes are
    in the file's metadata as JSON.

    The output is ``probabilities`` (n, way); of a segmenter ``masks``, probabilities of the ground and each
    class (n, 1 + way, side, side); of a detector ``boxes`` (k, 7): number of the picture, number of the
    class, score, then x1, y1, x2, y2 as shares of the picture's sides; of each picture and class the best
    first, and none that overlaps a better one. Raises :class:`ConfigError` where the package onnx is missing
    or the method cannot be exported.
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
            dynamic_axes={
                "image": {0: "n", 1: "height", 2: "width"},
                output: {0: "k" if output == "boxes" else "n"},
            },
            opset_version=OPSET,
            dynamo=False,
        )
    graph = onnx.load_model_from_string(content.getvalue())
    entry = graph.metadata_props.add()
    entry.key, entry.value = "classes", json.dumps(model.classes)
    onnx.checker.check_model(graph)
    return graph.SerializeToString()
