"""A resumed run equals an uninterrupted one bit for bit, wherever it was cut."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from metalab.backbones import create_backbone
from metalab.config import Config
from metalab.data import create_source
from metalab.errors import CheckpointError
from metalab.metalearners import check_options, get_metalearner
from metalab.training import Trainer

TINY = {"image_size": 16, "width": 8, "way": 3, "steps": 5, "validate_every": 2, "validation_tasks": 8}


def trainer(name: str = "maml", **changes: object) -> Trainer:
    config = Config.create(**{**TINY, "metalearner": name, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = get_metalearner(name)(create_backbone(config), check_options(name, {}))
    return Trainer(learner, create_source(config), config)


@pytest.fixture(scope="module")
def whole() -> dict[str, torch.Tensor]:
    run = trainer()
    list(run.run())
    return run.metalearner.state_dict()


@pytest.mark.parametrize("events", [1, 2, 3, 4, 6])
def test_resume_is_bit_identical(tmp_path: Path, whole: dict[str, torch.Tensor], events: int) -> None:
    first = trainer()
    for count, _ in enumerate(first.run(), 1):
        if count == events:
            first.save(tmp_path / "last.safetensors")
            break
    second = trainer()
    second.load(tmp_path / "last.safetensors")
    list(second.run())
    for name, tensor in second.metalearner.state_dict().items():
        assert torch.equal(tensor, whole[name]), name


def test_seed_changes_the_result(whole: dict[str, torch.Tensor]) -> None:
    other = trainer(seed=1)
    list(other.run())
    assert not torch.equal(other.metalearner.state_dict()["backbone.conv0"], whole["backbone.conv0"])


def test_foreign_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    trainer().save(path)
    with pytest.raises(CheckpointError, match="trained maml, not protonet"):
        trainer("protonet").load(path)
    with pytest.raises(CheckpointError, match="do not fit"):
        trainer(width=16).load(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        trainer().load(path)
