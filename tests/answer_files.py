"""What the tests of answered questions share: a small untrained reader and data sheets with lengths."""

from __future__ import annotations

from pathlib import Path

from metalab.adaptation import describe
from metalab.api import create_metalearner
from metalab.backbones import create_backbone
from metalab.checkpoints import save_checkpoint
from metalab.config import Config
from metalab.data.answered import Answered
from metalab.metalearners import MetaLearner
from metalab.pretraining import save_backbone

SMALL = {"application": "question-answering", "width": 16, "image_size": 96}


def small_learner(method: str = "guided-spans") -> MetaLearner:
    """Return ``method`` on a small reader; nothing is trained."""
    config = Config.create(**SMALL, metalearner=method)
    return create_metalearner(method, create_backbone(config))


def small_weights(folder: Path) -> Path:
    """Write an untrained guided pointer and its reader into ``folder``, as shipped weights are."""
    config, learner = Config.create(**SMALL), small_learner()
    meta = {"config": config.model_dump(mode="json"), "seconds": 0, **describe(learner)}
    save_checkpoint(folder / "guided-spans.safetensors", "metalearner", learner.state_dict(), meta)
    save_backbone(folder / "reader.safetensors", learner.backbone)
    return folder


def sheets(numbers: range) -> list[Answered]:
    """Return one data sheet a number, with the question how long that part is."""
    items = []
    for number in numbers:
        answer = f"{10 * number + 7} mm"
        text = f"Data sheet of part {number}.\n\nweight : {number + 3} g\n    Packed.\nlength : {answer}\n"
        start = text.index(answer)
        items.append(Answered(text, "How long is it?", start, start + len(answer)))
    return items
