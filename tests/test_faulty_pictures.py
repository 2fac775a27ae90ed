"""Faults of own annotated pictures: all stops with a list of them, until one agrees to go on without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from annotated_files import coco, on_disk, photo, with_coco

from metalab.cli import main
from metalab.config import Config
from metalab.data import create_source, create_test_source
from metalab.data.annotation import Instance, Picture
from metalab.data.labelled import targets, unseen
from metalab.errors import FaultyDataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cat and a dog on each of two pictures, and a box outside of the first."""
    held = coco()
    held["annotations"].append({"id": 9, "image_id": 1, "category_id": 3, "bbox": [40, 40, 5, 5]})
    return on_disk(tmp_path / "own", with_coco(held))


def test_adapt_lists_faults_and_goes_on_when_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.safetensors"
    words = ["adapt", "--application", "detection", "--support", str(folder), "--out", str(out)]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "cannot be used as it is, in 1 place:\n- " in told
    assert "instances.json, annotations[3]: a box outside the picture: (40.0, 40.0, 45.0, 45.0)" in told
    assert "--leave-out" in told
    assert not out.exists()
    assert main([*words, "--leave-out"]) == 0
    told = capsys.readouterr()
    assert "annotations[3]: a box outside the picture" in told.err
    assert "cat, dog, from 2 pictures" in told.out
    assert out.is_file()


def test_adapt_of_images_goes_on_when_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = {f"{name}/{i}.jpg": photo(i + 10 * (name == "dog")) for name in ("cat", "dog") for i in range(2)}
    folder, out = on_disk(tmp_path / "own", {**held, "cat/broken.png": b"none"}), tmp_path / "m.safetensors"
    words = ["adapt", "--support", str(folder), "--out", str(out)]
    assert main(words) == 2
    assert "broken.png" in capsys.readouterr().err
    assert main([*words, "--leave-out"]) == 0
    told = capsys.readouterr()
    assert "broken.png" in told.err
    assert "2 classes from 4 images" in told.out


def test_sources_stop_unless_the_configuration_agrees(folder: Path) -> None:
    config = Config.create(application="detection", source="annotated", data=folder)
    with pytest.raises(FaultyDataError, match=r"annotations\[3\]"):
        create_source(config)
    with pytest.raises(FaultyDataError):
        create_test_source(Config.create(application="detection"), "annotated", folder)
    source = create_source(config.replace(leave_out=True))
    assert [note.action for note in source.notes] == ["skipped"]
    assert source.groups("test") == {"classes": [0, 1]}


def test_objects_too_small_to_be_seen_are_named() -> None:
    image = np.zeros((100, 400, 3), np.uint8)
    held = [Instance("cat", (10.0, 10.0, 14.0, 30.0)), Instance("cat", (50.0, 10.0, 90.0, 30.0))]
    picture = Picture("wide", image, [*held, Instance("dog", (0.0, 0.0, 1.0, 1.0))])
    (note,) = unseen([picture], ["cat"], 64, "boxes")
    assert (note.where, note.action) == ("wide", "skipped")
    assert note.what == "1 object is less than 1 pixel wide or high in 64×64 pixels"
    assert int((targets([picture], ["cat"], 64, "boxes")[..., 0] >= 0).sum()) == 1
    assert not unseen([picture], ["cat"], 128, "boxes")
    assert "2 objects are" in unseen([Picture("w", image, [held[0]] * 2)], ["cat"], 64, "masks")[0].what
