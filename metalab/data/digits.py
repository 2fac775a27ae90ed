"""scikit-learn's handwritten digits (UCI, 1,797 drawings of 8×8): only ever meta-test."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from metalab.data.pool import PoolSource


def digits(size: int = 32, device: torch.device | str = "cpu") -> PoolSource:
    """Return the real digits 0-9 as a test-only source, enlarged to ``size``, with a margin as in glyphs."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16
    margin = size // 8
    images = F.interpolate(images, size=size - 2 * margin, mode="bicubic", align_corners=False).clamp(0, 1)
    images = F.pad(images, (margin,) * 4)
    return PoolSource(
        "digits",
        images.to(device),
        torch.from_numpy(bunch.target).to(device),
        [str(digit) for digit in range(10)],
        {"test": {"digits": list(range(10))}},
    )
