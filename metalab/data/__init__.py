"""Step 1, data preprocessing: one file per source, all behind :class:`metalab.tasks.TaskSource`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from metalab.config import Config
from metalab.errors import ConfigError
from metalab.tasks import TaskSource

if TYPE_CHECKING:
    from metalab.data.events import Events

TARGETS = {"segmentation": "masks", "detection": "boxes"}
"""What the examples of scenes and annotated pictures are labelled with."""
EVENTS = ("shop", "movielens", "ratings", "campaigns", "movielens-clicks", "clicks")
"""Sources of ratings and of clicks."""


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
    if config.source == "scenes":
        from metalab.data.scenes import SceneSource

        return SceneSource(config.image_size, TARGETS[config.application], device)
    if config.source == "stories":
        from metalab.data.story_source import StorySource

        return StorySource(config.image_size, device)
    if config.source == "documentation":
        from metalab.data.questions import QuestionSource

        return QuestionSource(config.image_size, device)
    if config.source == "answered":
        from metalab.data.answered_source import AnsweredSource

        return AnsweredSource(config.data, config.image_size, device)
    if config.source == "docstrings":
        from metalab.data.summary_source import SummarySource

        return SummarySource(config.image_size, device)
    if config.source == "pairs":
        return _own_pairs(config, device)
    if config.source == "annotated":
        return _annotated(config, False, device)
    if config.source in EVENTS:
        return _events(config, device)
    if config.source == "spoken":
        from metalab.data.spoken import spoken

        return spoken(device)
    if config.source == "recordings":
        return _own_recordings(config, False, device)
    if config.source == "catalogues":
        from metalab.data.catalogue_source import CatalogueSource

        return CatalogueSource(config.image_size, device)
    return _own_images(config, False, device)


def create_test_source(
    config: Config,
    source: str | None = None,
    data: Path | str | None = None,
    exclude: tuple[str, ...] = (),
    device: torch.device | str = "cpu",
) -> TaskSource:
    """Return held-out tasks for a model that was trained with ``config``.

    By default those of its own source; with another ``source``, or other ``data``, everything there is
    meta-test, less the alphabets in ``exclude`` (omniglot). Raises :class:`DataError`, :class:`ConfigError`.
    """
    name = source or config.source
    if exclude and name != "omniglot":
        raise ConfigError("only omniglot has alphabets to exclude", where="exclude")
    same_data = data is None or (config.data is not None and Path(data).resolve() == config.data.resolve())
    if name == config.source and same_data and not exclude:
        return create_source(config, device)
    if config.source in EVENTS:
        raise ConfigError(
            f"a recommender knows only the entities of what it was trained on ({config.source})",
            where="source" if name != config.source else "data",
            fix=f"Train on these: python -m metalab train --application {config.application} --source {name}",
        )
    asked = config.replace(source=name, data=data or config.data)
    if name == "omniglot":
        from metalab.data.omniglot import omniglot

        return omniglot(
            asked.data, config.image_size, config.episodes, exclude=exclude, test_only=True, device=device
        )
    if name == "image-folder":
        return _own_images(asked, True, device)
    if name == "annotated":
        return _annotated(asked, True, device)
    if name == "recordings":
        return _own_recordings(asked, True, device)
    return create_source(asked, device)


def _events(config: Config, device: torch.device | str) -> TaskSource:
    from metalab.data.event_source import EventSource

    def source(events: Events, **rest: Any) -> TaskSource:
        return EventSource(config.source, events, config.application == "ad-recommendation", device, **rest)

    if config.source == "shop":
        from metalab.data.shop import shop

        return source(shop())
    if config.source == "campaigns":
        from metalab.data.campaigns import campaigns

        return source(campaigns())
    if config.source in ("ratings", "clicks"):
        from metalab.data.events_in import read_events

        held = read_events(config.data, config.source, leave_out=config.leave_out)
        return source(held.events, notes=tuple(held.notes), columns=tuple(held.columns))
    from metalab.data import movielens

    read = movielens.ratings if config.source == "movielens" else movielens.clicks
    return source(read(config.data))


def _own_pairs(config: Config, device: torch.device | str) -> TaskSource:
    from metalab.backbones import create_backbone
    from metalab.data.pairs_source import OwnPairs
    from metalab.data.subwords import vocabulary

    held = vocabulary(create_backbone(config).vocabulary)
    return OwnPairs(config.data, config.application, held, config.image_size, device)


def _own_recordings(config: Config, test_only: bool, device: torch.device | str) -> TaskSource:
    from metalab.data.recordings import recordings

    return recordings(config.data, test_only, device=device)


def _annotated(config: Config, test_only: bool, device: torch.device | str) -> TaskSource:
    from metalab.data.annotated_source import annotated_source

    size = None if test_only else config.image_size  # pictures to judge by are resized as those to adapt to
    target = TARGETS[config.application]
    return annotated_source(config.data, size, target, device, test_only, config.leave_out)


def _own_images(config: Config, test_only: bool, device: torch.device | str) -> TaskSource:
    if config.backbone == "photo":
        from metalab.data.photos import photo_folder
        from metalab.pretraining import photo_backbone

        return photo_folder(config.data, photo_backbone(config).to(device), test_only)
    from metalab.data.folder import image_folder

    return image_folder(config.data, config.image_size, config.channels, test_only, device)
