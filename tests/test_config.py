"""One configuration: what it refuses, and that it comes back whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metalab.config import Config
from metalab.data import create_source
from metalab.errors import CheckpointError, ConfigError, DataError, MetalabError
from metalab.pretraining import load_backbone, ready_backbone, save_backbone
from metalab.training import preflight, task_shape


def test_round_trip(tmp_path: Path) -> None:
    config = Config.create(way=7, metalearner="maml", options={"inner_steps": 2}, data=tmp_path)
    config.save(tmp_path / "config.json")
    assert Config.load(tmp_path / "config.json") == config
    assert config.replace(way=3).way == 3
    assert config.way == 7


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ways": 5}, "ways: unknown setting; known are application"),
        ({"way": 0}, "way: .*greater than or equal to 1.*given: 0"),
        ({"way": 1}, "way: image-classification needs at least 2 classes"),
        ({"application": "segmentation", "metalearner": "maml"}, "'maml' does not suit segmentation"),
        ({"application": "detection", "backbone": "conv4"}, "'conv4' does not suit detection, use pyramid"),
        ({"source": "scenes"}, "'scenes' does not suit image-classification"),
        ({"application": "segmentation", "source": "annotated"}, "data: source 'annotated' needs the path"),
        ({"way": "many"}, "way: .*integer"),
        ({"lr": 0}, "lr: .*greater than 0"),
        ({"source": "mnist"}, "source: .*'glyphs'"),
        ({"source": "omniglot"}, "data: source 'omniglot' needs the path"),
        ({"channels": 3}, "only image-folder has colour"),
        ({"metalearner": "mamba"}, "no meta-learner is called 'mamba'"),
        ({"options": {"speed": 1}}, r"options\.speed"),
        ({"width": 6}, "width: .*multiple of 4"),
        ({"device": "tpu"}, "device"),
    ],
)
def test_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Config.create(**values)


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Config.load(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ConfigError, match="JSON"):
        Config.load(tmp_path / "broken.json")


def test_every_setting_explains_itself() -> None:
    for name, field in Config.model_fields.items():
        assert field.title, name
        assert re.search(r"\w", field.description or ""), name
        assert field.json_schema_extra["group"], name  # type: ignore[index,call-overload]


def test_errors_say_what_where_and_what_to_do() -> None:
    error = MetalabError("it broke", where="here", fix="Mend it")
    assert str(error) == "here: it broke. Mend it."
    assert (error.what, error.where, error.fix) == ("it broke", "here", "Mend it")


def test_training_tasks_are_harder_where_the_source_allows() -> None:
    config = Config.create()
    source = create_source(config)
    assert task_shape(config, "train", source).way == 20
    assert task_shape(config.replace(way=25), "train", source).way == 25
    assert task_shape(config.replace(train_way=3), "train", source).way == 3
    assert task_shape(config, "test", source).way == 5


def test_preflight_finds_what_would_fail_later(tmp_path: Path) -> None:
    config = Config.create()
    source = create_source(config)
    preflight(config, source)
    with pytest.raises(DataError, match="validation split"):
        preflight(config.replace(way=150), source)
    with pytest.raises(ConfigError, match="no cuda:99"):
        preflight(config.replace(device="cuda:99"), source)
    with pytest.raises(CheckpointError, match="no such file"):
        preflight(config.replace(pretrained=tmp_path / "absent"), source)


def test_shipped_backbone_is_taken_only_where_it_fits(tmp_path: Path) -> None:
    ready = ready_backbone(Config.create())
    assert ready is not None
    assert ready_backbone(Config.create(pretrained="none")) is None
    assert ready_backbone(Config.create(width=8)) is None
    assert ready_backbone(Config.create(normalisation="group")) is None
    save_backbone(tmp_path / "mine.safetensors", ready)
    assert load_backbone(tmp_path / "mine.safetensors").feature_dim == ready.feature_dim
    with pytest.raises(CheckpointError, match=r"width 64 \(asked: 8\)"):
        ready_backbone(Config.create(width=8, pretrained=tmp_path / "mine.safetensors"))
