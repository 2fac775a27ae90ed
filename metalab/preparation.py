"""Step 1 for one image: from whatever a user has to what a backbone takes."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metalab.backbones import Backbone
from metalab.errors import DataError


def prepare(images: np.ndarray | Tensor, backbone: Backbone) -> Tensor:
    """Return raw images as (n, channels, size, size) floats in 0..1 on the backbone's device.

    Greyscale drawings on light paper are inverted, since drawings are learnt as light ink on dark. Raises
    :class:`DataError` saying what does not fit.
    """
    x = images if isinstance(images, Tensor) else torch.from_numpy(np.array(images))
    if x.ndim == 3:
        if x.shape[2] in (3, 4) and min(x.shape[:2]) > 4:  # else each row would be taken for an image
            raise DataError(
                f"shape {tuple(x.shape)} is that of a single image", where="data", fix="Give image[None]"
            )
        x = x.unsqueeze(1)
    elif x.ndim == 4 and x.shape[1] not in (1, 3, 4) and x.shape[3] in (1, 3, 4):
        x = x.movedim(3, 1)
    if x.ndim != 4 or x.shape[1] not in (1, 3, 4) or not x.numel():
        raise DataError(
            f"images have shape {tuple(images.shape)}",
            where="data",
            fix="Give (n, H, W), (n, H, W, C) or (n, C, H, W) with 1, 3 or 4 channels",
        )
    limit = 1
    if not x.is_floating_point() and x.dtype != torch.bool:
        # Signed integers come from arithmetic, as NumPy's default int64, not from a file of that depth.
        limit = 255 if x.dtype.is_signed else torch.iinfo(x.dtype).max
    x = x.to(backbone.input_mean.device, torch.float32) / limit
    if not bool(torch.isfinite(x).all()) or float(x.min()) < 0 or float(x.max()) > 1:
        raise DataError(
            "values are not finite, floats outside 0..1, or integers outside 0..255",
            where="data",
            fix="Scale them",
        )
    return fit(x, backbone)


def fit(x: Tensor, backbone: Backbone) -> Tensor:
    """Return images (n, 1, 3 or 4 channels, H, W), floats in 0..1, in the backbone's channels and size.

    Of elementary operations alone, so that an exported model does the very same.
    """
    x = x[:, :3]
    if x.shape[1] != backbone.channels:
        x = x.mean(1, keepdim=True) if backbone.channels == 1 else x.expand(-1, 3, -1, -1)
    if x.shape[-2:] != (backbone.size, backbone.size):
        x = resize(x, backbone.size)
    if backbone.channels == 1:
        light = (x.flatten(1) > 0.5).to(x.dtype).mean(1) > 0.5
        x = torch.where(light[:, None, None, None], 1 - x, x)
    return x


def resize(x: Tensor, size: int) -> Tensor:
    """Return ``x`` (n, C, H, W) as (n, C, size, size): bilinear, smoothed where it shrinks (antialiased)."""
    rows = _triangles(x.shape[-2], size, x)
    columns = _triangles(x.shape[-1], size, x)
    return (rows @ x @ columns.t()).clamp(0, 1)


def _triangles(source: int, size: int, like: Tensor) -> Tensor:
    """Return the weights (size, source) by which ``source`` pixels make ``size``."""
    scale = torch.as_tensor(source / size, dtype=like.dtype, device=like.device)  # a tensor, when exported
    centres = (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) * scale
    pixels = torch.arange(source, device=like.device, dtype=like.dtype) + 0.5
    weights = (1 - (pixels - centres[:, None]).abs() / scale.clamp(min=1)).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """Return an image (H, W, 3) uint8 as floats 0..1 (3, side, side)."""
    x = torch.from_numpy(np.array(image)).movedim(2, 0)[None].float() / 255
    return resize(x, side)[0].numpy()


def stretched(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a map (h, w) drawn smoothly over an image of ``shape`` (height, width)."""
    x = torch.from_numpy(np.array(values, dtype=np.float32))[None, None]
    return F.interpolate(x, shape, mode="bilinear")[0, 0].numpy()
