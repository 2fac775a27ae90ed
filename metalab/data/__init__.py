"""Step 1, data preprocessing: one file per source, all behind :class:`metalab.tasks.TaskSource`."""

from __future__ import annotations

import torch

from metalab.config import Config
from metalab.tasks import TaskSource


def create_source(config: Config, device: torch.device | str = "cpu") -> TaskSource:
    """Return the task source that ``config`` names, its data on ``device``.

    Raises :class:`DataError` when the data is missing, broken or too small.
    """
    if config.source == "glyphs":
        from metalab.data.glyphs import GlyphSource

        return GlyphSource(
            size=config.image_size, episodes=config.episodes, rotations=config.rotations, device=device
        )
    if config.source == "digits":
        from metalab.data.digits import digits

        return digits(config.image_size, device)
    if config.source == "omniglot":
        from metalab.data.omniglot import omniglot

        return omniglot(config.data, config.image_size, config.episodes, config.rotations, device=device)
    from metalab.data.folder import image_folder

    return image_folder(config.data, config.image_size, config.channels, device=device)
