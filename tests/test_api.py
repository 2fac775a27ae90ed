"""The four verbs, end to end on a tiny model; an adapted model survives a round trip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits

import metalab
from metalab.checkpoints import save_checkpoint
from metalab.errors import CheckpointError, ConfigError, DataError

CONFIG = {
    "image_size": 16,
    "width": 8,
    "way": 3,
    "pretrain_steps": 10,
    "steps": 4,
    "validate_every": 2,
    "validation_tasks": 8,
}


@pytest.fixture(scope="module")
def backbone():
    return metalab.create_pretrain_model(metalab.Config.create(**CONFIG))


@pytest.fixture(scope="module")
def drawings() -> tuple[np.ndarray, np.ndarray]:
    bunch = load_digits(n_class=3)
    return (bunch.images / 16).astype(np.float32), bunch.target


@pytest.mark.parametrize("name", ["protonet", "maml", "film"])
def test_four_steps(backbone, drawings, name: str, tmp_path: Path) -> None:
    config = metalab.Config.create(**CONFIG, metalearner=name)
    learner = metalab.create_metalearner(name, backbone)
    history = metalab.train_metalearner(learner, config)
    assert [event.kind for event in history].count("train") == 4
    images, labels = drawings
    names = np.array(["zero", "one", "two"])[labels]
    result = metalab.task_learning(learner, images[:30], names[:30], images[30:90], names[30:90])
    assert result.probabilities.shape == (60, 3)
    np.testing.assert_allclose(result.probabilities.sum(1), 1, rtol=1e-5)
    assert result.accuracy == np.mean(np.array(result.predictions) == names[30:90])
    assert result.accuracy > 0.5, "even a barely trained model separates 0, 1 and 2"
    result.model.save(tmp_path / "model.safetensors")
    again = metalab.load(tmp_path / "model.safetensors")
    assert again.classes == result.model.classes
    np.testing.assert_allclose(again.predict_proba(images[30:90]), result.probabilities, atol=1e-6)


def test_labels_come_back_as_they_were_given(backbone, drawings, tmp_path: Path) -> None:
    learner = metalab.create_metalearner("protonet", backbone)
    images, labels = drawings
    for given in (labels, labels.tolist(), torch.from_numpy(labels)):
        result = metalab.task_learning(learner, images[:30], given[:30], images[30:90], given[30:90])
        assert set(result.predictions) <= {0, 1, 2}
        assert result.accuracy == np.mean(np.array(result.predictions) == labels[30:90])
    result.model.save(tmp_path / "model.safetensors")
    assert metalab.load(tmp_path / "model.safetensors").predict(images[:2]) == result.model.predict(
        images[:2]
    )


def test_unequal_shots_and_input_forms_agree(backbone, drawings) -> None:
    learner = metalab.create_metalearner("protonet", backbone)
    images, labels = drawings
    bytes_ = np.round(images * 255).astype(np.uint8)
    forms = [bytes_, bytes_[..., None], np.repeat(bytes_[..., None], 3, axis=3), 255 - bytes_]
    results = [metalab.task_learning(learner, f[:7], labels[:7], f[7:40]).probabilities for f in forms]
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], atol=1e-5)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((4, 8, 8)), [1, 1, 1, 1], "at least two classes"),
        (np.zeros((4, 8, 8)), [1, 2], "4 images but 2 labels"),
        (np.zeros((4, 8)), [1, 2, 1, 2], "have shape"),
        (np.full((2, 8, 8), 7.0), [1, 2], "outside 0..1"),
        (np.full((2, 8, 8), np.nan), [1, 2], "not finite"),
    ],
)
def test_bad_input(backbone, images: np.ndarray, labels: list[int], message: str) -> None:
    learner = metalab.create_metalearner("protonet", backbone)
    with pytest.raises(DataError, match=message):
        metalab.task_learning(learner, images, labels, images)


def test_unknown_names(backbone, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Known are protonet, simpleshot"):
        metalab.create_metalearner("protonets", backbone)
    with pytest.raises(ConfigError, match=r"options\.steps"):
        metalab.create_metalearner("maml", backbone, steps=3)
    with pytest.raises(ConfigError, match="known are application"):
        metalab.Config.create(ways=3)
    with pytest.raises(ConfigError, match="way"):
        metalab.Config.create(way=1)
    with pytest.raises(CheckpointError, match="no such file"):
        metalab.load(tmp_path / "absent")


def test_checkpoints_of_other_kinds_and_versions(backbone, drawings, tmp_path: Path) -> None:
    learner = metalab.create_metalearner("protonet", backbone)
    model = metalab.task_learning(learner, drawings[0][:9], drawings[1][:9], drawings[0][:1]).model
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, "backbone", {"a": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match="holds 'backbone', not 'adapted-model'"):
        metalab.load(path)
    content = model.to_bytes().replace(rb"\"format\": 1", rb"\"format\": 9")
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="written in format 9, this version reads 1"):
        metalab.load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="but not metalab's"):
        metalab.load(path)
    content = model.to_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        metalab.load(path)
