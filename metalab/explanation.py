"""Where in an image a model sees what it predicts."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from metalab.backbones import Photo
from metalab.metalearners import MetaLearner, State
from metalab.preparation import prepare

PATCHES = 8
"""Patches along each side that are covered in turn."""


def heatmap(metalearner: MetaLearner, state: State, image: np.ndarray, label: int) -> np.ndarray:
    """Return where in the raw image (1, H, W) or (1, H, W, C) class ``label`` is seen (height, width), 0..1.

    Photos: Grad-CAM (Selvaraju et al. 2017, equations 1 and 2) on the last map of the frozen network, 1/32
    of the prepared side. Others: how much the class's logit falls when a patch is covered (Zeiler & Fergus
    2014, section 4.2), 8×8 patches.
    """
    x = prepare(image, metalearner.backbone)
    if isinstance(metalearner.backbone, Photo):
        found = _class_activation(metalearner, state, x, label)
    else:
        found = _occlusion(metalearner, state, x, label)
    found = found.clamp(min=0)
    return (found / found.max().clamp(min=1e-9)).cpu().numpy()


def _class_activation(metalearner: MetaLearner, state: State, x: torch.Tensor, label: int) -> torch.Tensor:
    with torch.no_grad():
        last = metalearner.backbone.maps(x)[-1]
    with torch.enable_grad():
        last = last.requires_grad_()
        logits = metalearner.predict(state, last.mean((2, 3)))
        margin = logits[0, label] - (logits[0].sum() - logits[0, label]) / max(1, logits.shape[1] - 1)
        (slope,) = torch.autograd.grad(margin, last)
    return (slope.mean((2, 3), keepdim=True) * last.detach()).sum(1)[0]


def _occlusion(metalearner: MetaLearner, state: State, x: torch.Tensor, label: int) -> torch.Tensor:
    side = x.shape[-1]
    cover = torch.eye(PATCHES**2, device=x.device).view(-1, 1, PATCHES, PATCHES)
    cover = F.interpolate(cover, (side, side), mode="nearest")
    covered = x * (1 - cover) + x.mean() * cover
    with torch.no_grad():
        before = F.log_softmax(metalearner.predict(state, x), dim=1)[0, label]
        after = F.log_softmax(metalearner.predict(state, covered), dim=1)[:, label]
    return (before - after).view(PATCHES, PATCHES)
