"""Own photos as a source of tasks: every image goes through the frozen photo backbone once."""

from __future__ import annotations

from pathlib import Path

import torch

from metalab.backbones import Photo
from metalab.data.folder import folder_source
from metalab.data.pool import PoolSource
from metalab.data.reading import ImageSet, read_images, require_classes
from metalab.records import stored_examples


def photo_folder(path: Path | str, backbone: Photo, test_only: bool = False) -> PoolSource:
    """Return own images as :func:`metalab.data.folder.image_folder` does, as records of ``backbone``.

    Raises :class:`DataError`.
    """
    return image_source(require_classes(read_images(path)), backbone, test_only)


def image_source(held: ImageSet, backbone: torch.nn.Module, test_only: bool = False) -> PoolSource:
    """Return images as a source of the examples that ``backbone`` takes; raises :class:`DataError`."""
    names = held.classes
    labels = torch.tensor([names.index(label) for label in held.labels])
    x = stored_examples(held.images, backbone)
    source = folder_source(x, labels.to(x.device), names, test_only)
    source.channels, source.size = backbone.channels, backbone.size
    return source
