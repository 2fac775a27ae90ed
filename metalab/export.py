"""An adapted model for other runtimes: ONNX, from a raw image to probabilities."""

from __future__ import annotations

import io
import json
import warnings
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metalab.errors import ConfigError
from metalab.preparation import fit

if TYPE_CHECKING:
    from metalab.adaptation import AdaptedModel

OPSET = 18


class _Whole(nn.Module):
    """(n, H, W, 3) uint8 → calibrated probabilities (n, way), preprocessing inside."""

    def __init__(self, model: AdaptedModel) -> None:
        super().__init__()
        self.metalearner, self.temperature = model.metalearner, model.confidence.temperature
        self.names = list(model.state)
        for number, tensor in enumerate(model.state.values()):
            self.register_buffer(f"state{number}", tensor)

    def forward(self, images: Tensor) -> Tensor:
        x = fit(images.movedim(3, 1).float() / 255, self.metalearner.backbone)
        state = {name: getattr(self, f"state{number}") for number, name in enumerate(self.names)}
        return F.softmax(self.metalearner.predict(state, x) / self.temperature, dim=1)


def onnx_bytes(model: AdaptedModel) -> bytes:
    """Return ``model`` as an ONNX file: input ``image`` (n, H, W, 3) uint8 of any n and size, output
    ``probabilities`` (n, way); the classes are in the file's metadata as JSON.

    Raises :class:`ConfigError` where the package onnx is missing or the method cannot be exported.
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
    example = torch.randint(0, 256, (2, 40, 56, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            whole,
            (example,),
            content,
            input_names=["image"],
            output_names=["probabilities"],
            dynamic_axes={"image": {0: "n", 1: "height", 2: "width"}, "probabilities": {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )
    graph = onnx.load_model_from_string(content.getvalue())
    entry = graph.metadata_props.add()
    entry.key, entry.value = "classes", json.dumps(model.classes)
    onnx.checker.check_model(graph)
    return graph.SerializeToString()
