"""Sources: disjoint splits, fixed lists, seeds, shapes, and what they refuse."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metalab.data.digits import digits
from metalab.data.folder import image_folder, keep_upload, read_classes, read_file
from metalab.data.glyphs import SCRIPTS, GlyphSource
from metalab.data.omniglot import omniglot
from metalab.errors import DataError
from metalab.tasks import SPLITS, TaskShape, seeded, task_at, task_list

OMNIGLOT = Path(__file__).parents[2] / "shared" / "data" / "omniglot"
SHAPE = TaskShape(5, 1, 3)


@pytest.fixture(scope="module")
def glyphs() -> GlyphSource:
    return GlyphSource()


def test_glyph_splits_share_nothing(glyphs: GlyphSource) -> None:
    characters = {split: {i // 4 for ids in glyphs.groups(split).values() for i in ids} for split in SPLITS}
    assert not characters["train"] & characters["test"]
    assert not characters["train"] & characters["validation"]
    assert not characters["validation"] & characters["test"]
    assert sum(map(len, SCRIPTS.values())) == len(set().union(*SCRIPTS.values()))
    assert len(characters["train"]) > 2000


def test_no_digit_is_ever_a_glyph(glyphs: GlyphSource) -> None:
    assert not any(character.isnumeric() for character in glyphs.glyphs.characters)


@pytest.mark.parametrize("split", SPLITS)
def test_within_episodes_stay_in_one_alphabet(glyphs: GlyphSource, split: str) -> None:
    batch = glyphs.sample(6, split, SHAPE, seeded("cpu", 0))
    assert batch.support.x.shape == (6, 5, 1, 32, 32)
    assert batch.query.x.shape == (6, 15, 1, 32, 32)
    assert batch.support.x.min() >= 0
    assert batch.support.x.max() <= 1
    for classes in batch.classes.tolist():
        assert len(set(classes)) == 5
        assert len({glyphs.glyphs.scripts[i // 4] for i in classes}) == 1


def test_task_lists_are_fixed(glyphs: GlyphSource) -> None:
    def images(n: int, seed: int) -> torch.Tensor:
        return torch.cat([b.query.x for b in task_list(glyphs, n, "test", SHAPE, seed)])

    assert torch.equal(images(11, 0), images(20, 0)[:11])
    assert not torch.equal(images(3, 0), images(3, 1))
    assert torch.equal(task_at(glyphs, 9, "test", SHAPE, 0).query.x, images(20, 0)[9])


def test_digits_are_test_only() -> None:
    source = digits()
    batch = source.sample(4, "test", TaskShape(10, 5, 15), seeded("cpu", 0))
    assert sorted(batch.classes[0].tolist()) == [4 * i for i in range(10)]
    with pytest.raises(DataError, match="no train tasks"):
        source.check(SHAPE, "train")
    with pytest.raises(DataError, match="no classes to train on"):
        source.labelled_batch(4, seeded("cpu", 0))
    with pytest.raises(DataError, match="way"):
        source.check(TaskShape(11, 1, 1), "test")
    with pytest.raises(DataError, match="'8': 174, tasks need 300"):
        source.check(TaskShape(5, 150, 150), "test")


def test_support_and_query_share_no_drawing() -> None:
    batch = digits().sample(3, "test", TaskShape(10, 5, 15), seeded("cpu", 0))
    for task in batch:
        same = (task.support.x.flatten(1)[:, None] == task.query.x.flatten(1)).all(-1)
        assert not same.any()


@pytest.mark.skipif(not OMNIGLOT.is_dir(), reason="the shared Omniglot zips are absent")
def test_omniglot() -> None:
    source = omniglot(OMNIGLOT)
    assert len(source.names) == 242
    assert sum(len(ids) for ids in source.groups("train").values()) % 4 == 0
    source.sample(2, "test", TaskShape(5, 1, 15), seeded("cpu", 0))
    small2 = OMNIGLOT / "images_background_small2.zip"
    held = omniglot(small2, exclude=("Greek", "Latin"), test_only=True, episodes="mixed")
    assert len(held.names) == 106
    assert 0.02 < held.images.mean() < 0.2, "ink is light"


def test_omniglot_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        omniglot(tmp_path / "absent")
    with pytest.raises(DataError, match="no drawings"):
        omniglot(tmp_path)
    (tmp_path / "broken.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="cannot be read"):
        omniglot(tmp_path)


def pictures(folder: Path, classes: int, each: int) -> Path:
    rng = np.random.default_rng(0)
    for name in range(classes):
        (folder / f"class{name:02}").mkdir(parents=True)
        for number in range(each):
            pixels = rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class{name:02}" / f"{number}.png")
    return folder


def test_image_folder_and_zip_agree(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "images", 12, 5)
    (folder / "class00" / "._0.png").write_bytes(b"what macOS leaves behind")
    (folder / "class00" / "notes.txt").write_text("no image")
    archive = shutil.make_archive(str(tmp_path / "images"), "zip", folder)
    for channels in (1, 3):
        a, b = image_folder(folder, 16, channels), image_folder(archive, 16, channels)
        assert torch.equal(a.images, b.images)
        assert a.images.shape == (60, channels, 16, 16)
        splits = [{i for ids in a.groups(split).values() for i in ids} for split in SPLITS]
        assert not splits[0] & splits[1] | splits[0] & splits[2] | splits[1] & splits[2]
    a.sample(2, "test", TaskShape(2, 1, 4), seeded("cpu", 0))


def test_image_folder_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found: 1"):
        image_folder(pictures(tmp_path / "one", 1, 3))
    few = pictures(tmp_path / "few", 3, 2)
    with pytest.raises(DataError, match="'class00': 2, tasks need 16"):
        image_folder(few).check(TaskShape(3, 1, 15), "test")
    (few / "class01" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0\.png: not a readable image"):
        image_folder(few)


def test_an_upload_is_kept_under_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METALAB_HOME", str(tmp_path / "home"))
    archive = Path(shutil.make_archive(str(tmp_path / "a"), "zip", pictures(tmp_path / "images", 3, 2)))
    kept = keep_upload(archive.read_bytes(), "../../my defects (1).zip")
    assert kept == keep_upload(archive.read_bytes(), "../../my defects (1).zip")
    assert kept.name == "my_defects_1_.zip"
    assert kept.is_relative_to(tmp_path / "home")
    assert list(read_classes(kept, 16, 1)) == ["class00", "class01", "class02"]
    with pytest.raises(DataError, match="not a zip"):
        keep_upload(b"MZ not a zip")


def test_a_zip_cannot_reach_outside(tmp_path: Path) -> None:
    image = pictures(tmp_path / "images", 1, 1) / "class00" / "0.png"
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.write(image, "../../outside/a.png")
        archive.write(image, "/etc/b.png")
    assert set(read_classes(tmp_path / "evil.zip", 16, 1)) == {"outside", "etc"}, "names only, never paths"
    assert not (tmp_path.parent / "outside").exists()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "CMYK", "I;16", "1"])
def test_images_of_every_kind(tmp_path: Path, mode: str) -> None:
    drawing = Image.new("L", (30, 20), 255)
    drawing.paste(0, (10, 5, 20, 15))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(drawing).astype(np.uint16) * 257)
    else:
        image = drawing.convert("RGB").convert(mode) if mode != "LA" else drawing.convert("LA")
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I;16") else "a.png")
    image.save(path)
    pixels = read_file(path, 16, 1)
    assert pixels.shape == (1, 16, 16)
    assert pixels[0, 8, 8] > 0.9, "ink is light"
    assert pixels[0, 0, 0] < 0.1, "paper is dark"
