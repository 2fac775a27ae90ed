"""Splits are counted from the data itself, and a leak is found where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metalab.config import Config
from metalab.data import create_source
from metalab.data.folder import image_folder
from metalab.splits import leakage, summarise
from metalab.tasks import SPLITS, seeded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve classes of three images each."""
    generator = np.random.default_rng(0)
    for number in range(12):
        (tmp_path / f"class {number:02d}").mkdir()
        for image in range(3):
            pixels = generator.integers(0, 255, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"class {number:02d}" / f"{image}.png")
    return tmp_path


def test_own_images_are_counted(folder: Path) -> None:
    (folder / "class 00" / "2.png").unlink()
    summaries, shared = summarise(image_folder(folder, 16))
    assert [summaries[split].n_classes for split in SPLITS] == [7, 2, 3]
    assert summaries["train"].examples["class 00"] == 2
    assert summaries["test"].examples == {"class 09": 3, "class 10": 3, "class 11": 3}
    assert not shared.found
    assert shared.words.startswith("0 classes shared, 0 identical examples")


def test_an_image_in_two_splits_is_found(folder: Path) -> None:
    (folder / "class 11" / "copy.png").write_bytes((folder / "class 00" / "0.png").read_bytes())
    shared = summarise(image_folder(folder, 16))[1]
    assert (shared.classes, shared.examples) == ([], 1)
    assert "0 classes shared, 1 identical example in two splits" in shared.words


def test_a_shared_class_is_named() -> None:
    shared = leakage({"train": {"a": [b"1"], "b": [b"2"]}, "validation": {}, "test": {"b": [b"3"]}})
    assert (shared.classes, shared.examples) == (["b"], 0)
    assert shared.words.startswith("1 class shared (b)")


def test_characters_share_nothing_and_turned_ones_count_as_the_same() -> None:
    source = create_source(Config.create())
    summaries, shared = summarise(source)
    assert not shared.found
    train = summaries["train"]
    assert train.endless
    assert train.n_classes == 4 * len(train.examples)
    assert sum(train.groups.values()) == train.n_classes


@pytest.mark.parametrize("name", ["glyphs", "digits"])
def test_one_example_of_each_class(name: str) -> None:
    source = create_source(Config.create(source=name, image_size=16))
    ids = torch.tensor([i for held in source.groups("test").values() for i in held][:7])
    drawn = source.draw(ids, seeded("cpu", 0))
    assert drawn.shape == (7, 1, 16, 16)
    assert drawn.amax((1, 2, 3)).min() > 0.3, "something is drawn"
