"""What the tests of translation and summarisation share: small untrained writers with toy sub-words."""

from __future__ import annotations

from pathlib import Path

from writing_fixtures import toy_vocabulary

from metalab.adaptation import describe
from metalab.api import create_metalearner
from metalab.backbones import create_backbone
from metalab.checkpoints import save_checkpoint
from metalab.config import Config
from metalab.pretraining import save_backbone

FIRST = {"translation": "translate-code", "summarisation": "summarise-code"}
FILES = {"translation": "languages", "summarisation": "documents"}


def small_config(application: str, method: str = "") -> Config:
    """Return the settings of a small writer."""
    return Config.create(
        application=application, width=16, image_size=48, metalearner=method or FIRST[application]
    )


def small_weights(folder: Path) -> Path:
    """Write an untrained writer and its sub-words for both applications into ``folder``, as if shipped."""
    for application, name in FIRST.items():
        toy_vocabulary().save(folder / f"{FILES[application]}.json")
        config = small_config(application)
        learner = create_metalearner(name, create_backbone(config))
        meta = {"config": config.model_dump(mode="json"), "seconds": 0, **describe(learner)}
        save_checkpoint(folder / f"{name}.safetensors", "metalearner", learner.state_dict(), meta)
        save_backbone(folder / f"{config.backbone}.safetensors", learner.backbone)
    return folder
