"""Annotated pictures: every layout is read to the same objects, everything broken is named and left out."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated_files import (
    CAT,
    DOG,
    DOG2,
    HEIGHT,
    WIDTH,
    Files,
    annotation,
    block,
    coco,
    encoded,
    grey,
    numbers,
    on_disk,
    photo,
    read,
    said,
    voc,
    voc_xml,
    with_coco,
)
from PIL import Image

from metalab.data.annotated import read_annotated
from metalab.data.annotation import INSTANCES
from metalab.data.archives import Limits
from metalab.errors import DataError, FaultyDataError

BOXES = {
    "1": [("cat", (2, 3, 10, 12)), ("dog", (15, 5, 30, 20))],
    "2": [("dog", (0, 0, 8, 9))],
}
PNGS = {"1": numbers((1, CAT), (2, DOG)), "2": numbers((2, DOG2))}
NAMES = b"cat\ndog\n"


def masked(mode: str = "L", images: str = "images", masks: str = "masks") -> Files:
    files = {f"{images}/{stem}.jpg": photo(int(stem)) for stem in PNGS}
    return {**files, **{f"{masks}/{stem}.png": grey(values, mode) for stem, values in PNGS.items()}}


def in_folders(held: dict[str, Any], folder: str, at: str) -> Files:
    files = {f"{folder}/{i}.jpg": photo(i) for i in (1, 2)}
    return {at: json.dumps(held).encode(), **files}


def per_class() -> Files:
    files = {f"images/{stem}.jpg": photo(int(stem)) for stem in PNGS}
    files["masks/cat/1.png"] = grey(CAT * 255)
    files["masks/cat/2.png"] = grey(CAT * 0)
    files["masks/dog/1.png"] = encoded(Image.fromarray(DOG))
    files["masks/dog/2.png"] = grey(DOG2 * 1)
    return files


def objects_png() -> Files:
    # Numbered in another order than the XML's: boxes decide.
    values = {"1": numbers((2, CAT), (1, DOG)), "2": numbers((1, DOG2))}
    return {**voc(), **{f"SegmentationObject/{stem}.png": grey(held, "P") for stem, held in values.items()}}


LAYOUTS: dict[str, tuple[Files, bool]] = {
    "COCO": (with_coco(coco()), True),
    "COCO beside": (in_folders(coco(), "set", "set/any.json"), True),
    "COCO as downloaded": (in_folders(coco(), "val2017", "annotations/instances_val2017.json"), True),
    "Roboflow": (in_folders(coco(), "train", "train/_annotations.coco.json"), True),
    "VOC": (voc(), False),
    "VOC in a folder": ({f"VOC2012/{name}": content for name, content in voc().items()}, False),
    "VOC beside": ({f"all/{name.split('/')[1]}": content for name, content in voc().items()}, False),
    "VOC with objects": (objects_png(), True),
    "VOC with classes": (
        {
            **voc(),
            **{f"SegmentationClass/{stem}.png": grey(held, "P") for stem, held in PNGS.items()},
            "classes.txt": NAMES,
        },
        True,
    ),
    "masks": ({**masked(), "classes.txt": NAMES}, True),
    "palette masks": ({**masked("P"), "labels.json": b'{"1": "cat", "2": "dog"}'}, True),
    "masks of splits": (
        {**masked(images="images/train", masks="masks/train"), "classes.txt": b"background\ncat\ndog\n"},
        True,
    ),
    "splits of masks": (
        {**masked(images="train/images", masks="train/masks"), "labels.json": b'{"cat": 1, "dog": 2}'},
        True,
    ),
    "only SegmentationClass": (
        {**masked("P", "JPEGImages", "SegmentationClass"), "classes.txt": NAMES},
        True,
    ),
    "a mask a class": (per_class(), True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(layout: str, tmp_path: Path) -> None:
    files, with_masks = LAYOUTS[layout]
    for found in (read(files, leave_out=False), read_annotated(on_disk(tmp_path, files))):
        assert found.classes == ["cat", "dog"]
        assert found.counts() == {"cat": 1, "dog": 2}
        assert not found.notes, said(found)
        assert len(found.pictures) == 2
        for picture in found.pictures:
            expected = BOXES[Path(picture.name).stem]
            assert [(item.label, item.box) for item in picture.instances] == expected
            assert picture.image.shape == (HEIGHT, WIDTH, 3)
            assert picture.image.dtype == np.uint8
            assert picture.ignore is None
            for instance in picture.instances:
                assert (instance.mask is not None) == with_masks
                if with_masks:
                    assert instance.mask.dtype == bool
                    assert np.array_equal(instance.mask, block(*map(int, instance.box)))


def test_unknown_layouts(tmp_path: Path) -> None:
    for files in ({"cat/1.png": photo(1)}, {"a.json": b"{}"}, {"masks/1.png": grey(PNGS["1"])}):
        with pytest.raises(DataError, match="known layout"):
            read(files)
    with pytest.raises(DataError, match="no such file"):
        read_annotated(tmp_path / "absent")
    (tmp_path / "a.json").write_text("{}")
    for path in (tmp_path / "a.json", "nul\0", io.BytesIO(b"PK")):
        with pytest.raises(DataError):
            read_annotated(path)


# --- what is reduced and turned


def test_boxes_and_masks_are_reduced_with_the_picture() -> None:
    held = {
        "images": [{"id": 1, "file_name": "1.png", "width": 400, "height": 200}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [annotation(1, 1, 1, 100, 40, 200, 160)],
    }
    whole = block(100, 40, 200, 160, (400, 200))
    runs = {"id": 2, "image_id": 1, "category_id": 1}
    changes = np.flatnonzero(np.diff(np.concatenate([[0], whole.ravel("F"), [0]])))
    counts = np.diff(np.concatenate([[0], changes, [whole.size]])).tolist()
    held["annotations"].append({**runs, "segmentation": {"size": [200, 400], "counts": counts}})
    files = {"instances.json": json.dumps(held).encode(), "1.png": photo(1, "PNG", (400, 200))}
    (picture,) = read(files, limits=Limits(side=100), leave_out=False).pictures
    assert picture.image.shape == (50, 100, 3)
    for instance in picture.instances:
        assert instance.box == (25, 10, 50, 40)
        assert np.array_equal(instance.mask, block(25, 10, 50, 40, (100, 50)))


@pytest.mark.parametrize("width", [601, 613, 641, 997])
def test_a_box_of_the_whole_picture_stays_within(width: int) -> None:
    held = coco()
    held["images"] = [{"id": 1, "file_name": "1.jpg", "width": width, "height": 479}]
    held["annotations"] = [annotation(1, 1, 3, 0, 0, width, 479)]
    found = read(
        {"a.json": json.dumps(held).encode(), "1.jpg": photo(1, size=(width, 479))}, limits=Limits(side=123)
    )
    ((_, _, x2, y2),) = [item.box for item in found.pictures[0].instances]
    height, width = found.pictures[0].image.shape[:2]
    assert (x2, y2) == pytest.approx((width, height))
    assert x2 <= width
    assert y2 <= height
    assert found.pictures[0].instances[0].mask.all()


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_camera_held_askew(turn: int) -> None:
    """What is annotated in the stored picture lies where the picture shows it when it is upright."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[3:12, 2:10] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    held = coco()
    held["annotations"] = [annotation(1, 1, 3, 2, 3, 10, 12), annotation(2, 1, 3, 2, 3, 10, 12)]
    counts = [2 * HEIGHT + 3, *[9, HEIGHT - 9] * 7, 9, (WIDTH - 9) * HEIGHT - 12]
    held["annotations"][1]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": counts}
    counts[-1] += HEIGHT * WIDTH - sum(counts)
    content = encoded(Image.fromarray(pixels), exif=exif)
    held["images"] = [{**held["images"][0], "file_name": "1.png"}]
    found = read({"instances.json": json.dumps(held).encode(), "1.png": content})
    (picture,) = found.pictures
    shown = picture.image[..., 0] == 255
    upright = turn in (2, 3, 4)  # the size does not say in which picture they count
    assert ("turned by its camera" in said(found)) == upright
    for instance in picture.instances:
        assert np.array_equal(instance.mask, CAT if upright else shown)
        x1, y1, x2, y2 = map(int, instance.box)
        assert (instance.mask[y1:y2, x1:x2]).all()
        assert instance.mask.sum() == (x2 - x1) * (y2 - y1) == 72


# --- COCO: what may be wrong


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    held = copy.deepcopy(coco())
    change(held)
    return held


def first(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda held: held["annotations"][0].update({key: value})


def image(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda held: held["images"][0].update({key: value})


def box_only(value: object) -> Callable[[dict[str, Any]], object]:
    return lambda held: held["annotations"][0].update({"bbox": value, "segmentation": []})


RUNS = {"size": [HEIGHT, WIDTH], "counts": [5, 5]}
# What is wrong, the words of the note, its action, and how many objects of three are left.
FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str, str, int]] = {
    "clipped": (box_only([-5, -5, 20, 20]), "a box is clipped to the picture", "repaired", 3),
    "outside": (box_only([100, 100, 5, 5]), "a box outside the picture", "skipped", 2),
    "no area": (box_only([5, 5, 0, 5]), "a box without area", "skipped", 2),
    "negative": (box_only([5, 5, 4, -5]), "a box without area", "skipped", 2),
    "NaN": (
        box_only([float("nan"), 5, 4, 5]),
        "annotations[0].bbox: is not four finite numbers",
        "skipped",
        2,
    ),
    "infinite": (box_only([1, 5, float("inf"), 5]), "is not four finite numbers", "skipped", 2),
    "huge": (box_only([1.7e308, 5, 1.7e308, 5]), "not of finite numbers", "skipped", 2),
    "whole and huge": (box_only([10**400, 5, 4, 5]), "is not four finite numbers", "skipped", 2),
    "three numbers": (box_only([1, 2, 3]), "is not four finite numbers", "skipped", 2),
    "text": (box_only("1,2,3,4"), "is not four finite numbers", "skipped", 2),
    "neither": (box_only(None), "has neither a bbox nor a segmentation", "skipped", 2),
    "bad box, good mask": (first("bbox", [1, 2]), "is not four finite numbers", "repaired", 3),
    "box elsewhere": (first("bbox", [90, 90, 5, 5]), "a box outside the picture", "repaired", 3),
    "two points": (first("segmentation", [[1, 2, 3, 4]]), "is not of polygons", "repaired", 3),
    "odd": (first("segmentation", [[1, 2, 3, 4, 5, 6, 7]]), "is not of polygons", "repaired", 3),
    "a word": (first("segmentation", "cat"), "is neither polygons nor run lengths", "repaired", 3),
    "NaN point": (first("segmentation", [[1, 2, 3, 4, 5, float("nan")]]), "finite numbers", "repaired", 3),
    "far": (first("segmentation", [[1, 2, 3, 4, 5, 1e300]]), "no positions", "repaired", 3),
    "long": (first("segmentation", [[1, 2] * 30_000]), "more than 20000 points", "repaired", 3),
    "short runs": (first("segmentation", RUNS), "run lengths that do not fill 32×24", "repaired", 3),
    "negative runs": (first("segmentation", {**RUNS, "counts": [-5, 773]}), "do not fill", "repaired", 3),
    "packed": (first("segmentation", {**RUNS, "counts": "~~"}), "is no packed mask", "repaired", 3),
    "cut": (first("segmentation", {**RUNS, "counts": "P"}), "ends too early", "repaired", 3),
    "no size": (first("segmentation", {"counts": [5]}), "a size that is not", "repaired", 3),
    "size of nothing": (first("segmentation", {"size": [0, 5], "counts": []}), "a size that", "repaired", 3),
    "no counts": (first("segmentation", {"size": [HEIGHT, WIDTH]}), "counts that are neither", "repaired", 3),
    "mask of another shape": (
        first("segmentation", {"size": [10, 10], "counts": [50, 50]}),
        "a mask of another size is left out: of 10×10 pixels, the picture has 32×24",
        "repaired",
        3,
    ),
    "mask of half the size": (
        first("segmentation", {"size": [12, 16], "counts": [92, 100]}),
        "a mask of another size is scaled",
        "repaired",
        3,
    ),
    "unknown category": (first("category_id", 99), "category_id: no category has this id: 99", "skipped", 2),
    "unknown image": (first("image_id", [1]), "image_id: no image has this id", "skipped", 2),
    "twice the same": (
        lambda held: held["annotations"].append(held["annotations"][0]),
        "annotations[3].id: the same annotation again: 1",
        "skipped",
        3,
    ),
    "an id twice": (first("id", 2), "is used twice; both annotations count: 2", "repaired", 3),
    "no annotation": (
        lambda held: held["annotations"].append(5),
        "annotations[3]: is not an object",
        "skipped",
        3,
    ),
    "category twice": (
        lambda held: held["categories"].append({"id": 3, "name": "fox"}),
        "categories[2].id: is used twice",
        "skipped",
        3,
    ),
    "name twice": (
        lambda held: held["categories"].append({"id": 4, "name": "cat"}),
        "categories[2].name: is the name of several categories; they are one class: cat",
        "repaired",
        3,
    ),
    "no name": (
        lambda held: held["categories"].append({"id": 4, "name": 5}),
        "categories[2].name: is not a word",
        "skipped",
        3,
    ),
    "no id": (lambda held: held["categories"].append({"name": "a"}), "neither a number", "skipped", 3),
    "image twice": (
        lambda held: held["images"].append({"id": 1, "file_name": "2.jpg"}),
        "images[2].id: is used twice",
        "skipped",
        3,
    ),
    "file twice": (
        lambda held: held["images"].append({"id": 9, "file_name": "2.jpg"}),
        "lists a file again",
        "repaired",
        3,
    ),
    "missing image": (image("file_name", "../9.jpg"), "there is no such picture", "skipped", 1),
    "no file name": (image("file_name", None), "images[0].file_name: is not a word", "skipped", 1),
    "negative width": (image("width", -3), "the picture's own are used: -3 24", "repaired", 3),
    "only a height": (image("width", None), "the picture's own are used: None 24", "repaired", 3),
    "another shape": (image("width", 500), "its annotations say 500×24", "skipped", 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_coco_are_named(fault: str) -> None:
    change, words, action, left = FAULTS[fault]
    files = with_coco(changed(change))
    found = read(files)
    assert words in said(found)
    assert any(words.split(": ")[-1] in note.what and note.action == action for note in found.notes)
    assert sum(len(picture.instances) for picture in found.pictures) == left
    with pytest.raises(DataError, match=r"instances\.json"):
        read(files, leave_out=False)


def test_a_picture_of_half_the_stated_size_is_scaled() -> None:
    files = {**with_coco(coco()), "images/1.jpg": photo(1, size=(WIDTH // 2, HEIGHT // 2))}
    found = read(files)
    assert "they are scaled" in said(found)
    assert found.pictures[0].instances[0].box == (1, 1.5, 5, 6)
    assert found.pictures[0].instances[0].mask.shape == (HEIGHT // 2, WIDTH // 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not readable JSON"),
        (b'{"images": [', "not readable JSON"),
        (b"\xff\xfe\x00", "not readable JSON"),
        (b"[1]", "not an object"),
        (b'{"images": [], "annotations": {}, "categories": []}', "annotations is not a list"),
        (b'{"images": ' + b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 30 + b"1" + b"}" * 30, "nested too deep"),
        (b"[" * 6_000_000, "more than 5000000"),
        (b'{"images": ' + b"9" * 5000 + b"}", "not readable JSON"),
        (b'"' + b'\\"' * 3_000_000, "not readable JSON"),
    ],
)
def test_json_that_cannot_be_used(content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read(with_coco(content))
    assert "instances.json" in str(caught.value)


def test_of_two_files_a_broken_one_is_noted() -> None:
    files = with_coco(coco(), **{"instances_b.json": b"{"})
    assert read(files).counts() == {"cat": 1, "dog": 2}
    with pytest.raises(DataError, match=r"instances_b\.json: not readable JSON"):
        read(files, leave_out=False)


def test_of_several_files_a_broken_one_is_noted() -> None:
    files = with_coco(coco(), **{"instances_b.json": b"{", "instances_c.json": json.dumps(coco()).encode()})
    found = read(files)
    assert len(found.pictures) == 2
    assert "instances_b.json: not readable JSON" in said(found)
    assert "another file annotates already" in said(found)


@pytest.mark.parametrize(
    ("path", "files", "expected", "note"),
    [
        ("1.jpg", ["1.jpg", "val/1.jpg"], "1.jpg", ""),
        ("val/1.jpg", ["1.jpg", "val/1.jpg"], "val/1.jpg", ""),
        ("val\\1.jpg", ["set/images/val/1.jpg", "set/images/train/1.jpg"], "set/images/val/1.jpg", ""),
        ("val/1.jpg", ["train/1.jpg", "val/2.jpg"], None, "there is no such picture"),
        ("/home/me/data/1.jpg", ["images/1.jpg"], "images/1.jpg", "not in 'data'; it is found by its name"),
        ("1.jpg", ["a/1.jpg", "b/1.jpg"], None, "no such picture, or several: 1.jpg"),
        ("../../1.jpg", ["images/1.jpg"], "images/1.jpg", ""),
        ("1.txt", ["images/1.jpg", "1.txt"], None, "there is no such picture"),
    ],
)
def test_which_file_a_path_means(path: str, files: list[str], expected: str | None, note: str) -> None:
    held = coco()
    held["images"][0]["file_name"] = path
    held["images"][1]["file_name"] = "other.jpg"
    pictures = {name: photo(1) for name in files}
    found = read({"x.json": json.dumps(held).encode(), "in/other.jpg": photo(2), **pictures})
    names = [picture.name for picture in found.pictures]
    assert names == ([expected, "in/other.jpg"] if expected else ["in/other.jpg"])
    assert note in said(found)
    assert ("file_name" in said(found)) == bool(note)


def test_many_faults_are_counted() -> None:
    held = coco()
    held["annotations"] += [annotation(i, 1, 50, 1, 1, 3, 3) for i in range(10, 200)]
    found = read(with_coco(held))
    assert len(found.notes) == len(found.faults) == 11
    assert "180 more: no category has this id" in said(found)


def test_faults_stop_until_they_are_agreed_to() -> None:
    held = coco()
    held["annotations"] += [
        annotation(10, 1, 99, 1, 1, 3, 3),
        {"id": 11, "image_id": 1, "category_id": 3, "bbox": [40, 40, 5, 5]},
        {"id": 12, "image_id": 1, "category_id": 3, "bbox": [-5, 0, 15, 9]},
    ]
    files = with_coco(held, **{"images/3.jpg": photo(3)})
    with pytest.raises(FaultyDataError) as caught:
        read(files, leave_out=False)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("cannot be used as it is, in 4 places:")
    for line, words in zip(
        lines[1:5],
        (
            "annotations[3].category_id: no category has this id: 99 (skipped)",
            "annotations[4]: a box outside the picture: (40.0, 40.0, 45.0, 45.0) (skipped)",
            "annotations[5]: a box is clipped to the picture: (-5.0, 0.0, 10.0, 9.0) (repaired)",
            "images/3.jpg: a picture that no annotation could be used for (skipped)",
        ),
        strict=True,
    ):
        assert line.startswith("- ")
        assert line.endswith(words)
    assert "leave_out=True" in lines[-1]
    found = read(files)
    assert [len(picture.instances) for picture in found.pictures] == [3, 1]
    assert [str(note) for note in found.faults] == [str(fault) for fault in caught.value.faults]


def test_for_masks_the_place_of_a_bare_box_is_ignored() -> None:
    held = coco()
    held["annotations"][0]["segmentation"] = [[1, 2, 3, 4]]  # of a cat, whose box remains
    found = read(with_coco(held), target="masks")
    assert "an object has a box but no mask; its place is ignored: cat" in said(found)
    first = found.pictures[0]
    assert [one.label for one in first.instances] == ["dog"]
    x1, y1, width, height = held["annotations"][0]["bbox"]
    box = block(x1, y1, x1 + width, y1 + height)
    assert np.array_equal(first.ignore, box & ~first.instances[0].mask)
    for entry in held["annotations"]:
        entry["segmentation"] = []
    with pytest.raises(DataError, match="every object has a box but no mask"):
        read(with_coco(held), target="masks")
    assert len(read(with_coco(held), leave_out=False).classes) == 2


def test_more_objects_than_allowed() -> None:
    held = coco()
    held["annotations"] = [{"image_id": 1, "category_id": 3, "bbox": [1, 1, 3, 3]}] * (INSTANCES + 5)
    found = read(with_coco(held))
    assert len(found.pictures[0].instances) == INSTANCES
    assert f"more than {INSTANCES} objects; the first are used: {INSTANCES + 5}" in said(found)
    for limits in (Limits(bytes_all=4000), Limits(files=1)):
        with pytest.raises(DataError, match=r"more than|at most"):
            read(with_coco(coco()), limits=limits)


def test_what_is_only_worth_a_look() -> None:
    held = coco()
    held["annotations"].pop()  # no object on the second picture
    held["annotations"] += [
        {"id": 8, "image_id": 1, "category_id": 7, "iscrowd": 1, "bbox": [0, 20, 3, 4]},
        {**annotation(9, 1, 3, 20, 0, 24, 3), "iscrowd": 1},
    ]
    found = read(with_coco(held))
    assert not found.faults
    found = read(with_coco(held, **{"images/3.jpg": photo(3)}))
    assert len(found.pictures) == 2
    assert np.array_equal(found.pictures[0].ignore, block(0, 20, 3, 24) | block(20, 0, 24, 3))
    assert [item.label for item in found.pictures[0].instances] == ["cat", "dog"]
    assert "a picture without an object" in said(found)
    assert "a picture that no annotation could be used for" in said(found)


def test_the_smaller_object_has_the_pixels() -> None:
    held = coco()
    held["annotations"] = [
        annotation(1, 1, 3, 0, 0, 20, 20),
        annotation(2, 1, 7, 5, 5, 10, 10),
        annotation(3, 1, 3, 0, 0, 6, 6),  # of the same class as the first: both keep what they share
    ]
    with pytest.raises(FaultyDataError, match="two classes claim the same pixels"):
        read(with_coco(held), target="masks", leave_out=False)
    assert "warning" in said(read(with_coco(held), leave_out=False)), "boxes may overlap"
    found = read(with_coco(held), target="masks")
    large, small, same = found.pictures[0].instances
    assert large.box == (0, 0, 20, 20)
    assert np.array_equal(large.mask, block(0, 0, 20, 20) & ~block(5, 5, 10, 10))
    assert np.array_equal(small.mask, block(5, 5, 10, 10))
    assert np.array_equal(same.mask, block(0, 0, 6, 6) & ~block(5, 5, 10, 10))
    assert "two classes claim the same pixels" in said(found)


def test_class_names_are_cleaned() -> None:
    held = coco()
    names = ["a/b 😀\n", "x" * 5000, "Cat", "cat", "\ud800"]
    held["categories"] = [{"id": i, "name": name} for i, name in enumerate(names)]
    held["annotations"] = [annotation(i, 1, i, 3 * i, 3, 3 * i + 2, 9) for i in range(len(names))]
    found = read(with_coco(held))
    assert "a/b 😀" in found.classes
    assert max(map(len, found.classes)) <= 100
    assert len(found.classes) == len(names)
    assert "separate classes" in said(found)
    "".join([*found.classes, said(found)]).encode()


# --- VOC: what may be wrong


def test_faults_of_voc_are_named() -> None:
    bad = voc_xml("1", ("cat", 2, 3, 10, 12), ("dog", -9, 5, 50, 20), ("", 1, 1, 3, 3), ("fox", 9, 9, 5, 5))
    bad = bad.replace(b"</annotation>", b"<object><name>owl</name></object></annotation>")
    files = {
        **voc(),
        "Annotations/1.xml": bad,
        "Annotations/3.xml": b"<annotation>",
        "Annotations/4.xml": b"<other/>",
        "Annotations/5.xml": voc_xml("5"),
        "Annotations/6.xml": b"<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>&b;</annotation>",
        "Annotations/7.xml": b"<a>" * 1000,
        "Annotations/8.xml": b" " * 6_000_000,
        "Annotations/9.xml": b'<?xml version="1.0" encoding="nonsense"?><annotation/>',
    }
    found = read(files)
    assert found.counts() == {"cat": 1, "dog": 2}
    words = said(found)
    for expected in (
        "1.xml, object 2: a box is clipped",
        "1.xml, object 3, name: is missing",
        "1.xml, object 4: a box without area",
        "1.xml, object 5, bndbox, xmin: is not a number",
        "3.xml: not readable XML",
        "4.xml: not a VOC annotation: other",
        "5.xml: there is no picture",
        "6.xml: declares a document type",
        "7.xml: nested too deep",
        "8.xml: more than 5 MB",
        "9.xml: not readable XML",
    ):
        assert expected in words
    with pytest.raises(DataError, match="Annotations"):
        read(files, leave_out=False)
    with pytest.raises(DataError, match=r"no picture that can be used.*not readable XML"):
        read({"Annotations/1.xml": b"<annotation>"})


def test_entities_never_expand() -> None:
    """The billion laughs: refused at the document type, in whatever encoding it comes."""
    lines = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    text = f'<!DOCTYPE x [<!ENTITY a0 "ha">{lines}]><annotation><filename>&a11;</filename></annotation>'
    for content in (text.encode(), text.encode("utf-16")):
        with pytest.raises(DataError, match="declares a document type"):
            read({**voc(), "Annotations/1.xml": content}, leave_out=False)


def test_masks_of_voc() -> None:
    values = numbers((1, CAT), (2, DOG), (3, block(12, 0, 14, 2)), (255, block(10, 3, 11, 12)))
    files = {**voc(), "SegmentationObject/1.png": grey(values, "P"), "SegmentationObject/2.png": b"x"}
    found = read(files)
    assert np.array_equal(found.pictures[0].ignore, block(10, 3, 11, 12))
    assert np.array_equal(found.pictures[0].instances[1].mask, DOG)
    assert found.pictures[1].instances[0].mask is None
    assert "object numbers that fit no box of the XML: 1" in said(found)
    assert "2.png: not a readable PNG mask" in said(found)
    hard = voc()["Annotations/2.xml"].replace(b"<difficult>0", b"<difficult>1")
    found = read({**voc(), "Annotations/2.xml": hard})
    assert np.array_equal(found.pictures[1].ignore, DOG2)
    assert "marked as difficult" in said(found)
    found = read({**voc(), "SegmentationClass/1.png": grey(numbers((8, CAT), (12, DOG)), "P")})
    assert [item.mask is not None for item in found.pictures[0].instances] == [True, True]
    assert "taken as VOC's own" in said(found)


def test_objects_of_the_same_box_are_numbered_in_the_order_of_the_xml() -> None:
    left, right = DOG & (np.indices(DOG.shape).sum(0) % 2 == 0), DOG & (np.indices(DOG.shape).sum(0) % 2 == 1)
    box = ("dog", 15, 5, 30, 20)
    files = {"Annotations/1.xml": voc_xml("1", box, box), "JPEGImages/1.jpg": photo(1)}
    found = read({**files, "SegmentationObject/1.png": grey(numbers((1, left), (2, right)))}, leave_out=False)
    assert [
        np.array_equal(item.mask, mask)
        for item, mask in zip(found.pictures[0].instances, (left, right), strict=True)
    ] == [True, True]


def test_other_xml_and_other_sizes_of_voc() -> None:
    files = {**voc(), "pom.xml": b"<project/>", "more/1.xml": voc_xml("1", ("fox", 1, 1, 5, 5))}
    assert read(files, leave_out=False).classes == ["cat", "dog"]
    for width, noted in (("0", False), ("-3", True), ("a", True), ("٣٢", True), ("9" * 5000, True)):
        xml = voc_xml("2", ("dog", 0, 0, 8, 9))
        xml = xml.replace(b"<width>32", f"<width>{width}".encode()).replace(b"<height>24", b"<height>0")
        found = read({**voc(), "Annotations/2.xml": xml})
        assert ("the picture's own are used" in said(found)) == noted
        assert found.pictures[1].instances[0].box == (0, 0, 8, 9)


def test_a_class_mask_gives_each_box_its_own_pixels() -> None:
    whole = CAT | DOG | DOG2
    xml = voc_xml("1", ("dog", 2, 3, 10, 12), ("dog", 15, 5, 30, 20), ("fox", 20, 10, 25, 15))
    files = {"Annotations/1.xml": xml, "JPEGImages/1.jpg": photo(1), "classes.txt": b"dog"}
    found = read({**files, "SegmentationClass/1.png": grey(numbers((1, whole)))}, leave_out=False)
    first, second, fox = (item.mask for item in found.pictures[0].instances)
    assert np.array_equal(first, CAT)
    assert np.array_equal(second, DOG)
    assert fox is None
    assert "no class number is known for 'fox'" in said(found)
    assert len(found.notes) == 1


# --- folders of masks: what may be wrong


def test_numbers_without_names_and_ignored_pixels() -> None:
    files = {**masked(), "masks/2.png": grey(numbers((2, DOG2), (255, CAT & ~DOG2)))}
    found = read(files)
    assert found.classes == ["class 1", "class 2"]
    assert "no file names class number 1" in said(found)
    assert np.array_equal(found.pictures[1].ignore, CAT & ~DOG2)


def test_faults_of_masks_are_named() -> None:
    colours = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    files = {
        **masked(),
        "classes.txt": NAMES,
        "labels.json": b"{",
        "masks/9.png": grey(CAT),
        **{f"images/{stem}.jpg": photo(3) for stem in "34567"},
        "masks/3.png": b"text",
        "masks/4.png": encoded(Image.fromarray(colours)),
        "masks/5.png": grey(np.ones((9, 90))),
        "masks/6.png": grey(np.repeat(np.repeat(CAT, 2, 0), 2, 1)),
        "masks/7.png": encoded(Image.merge("RGB", [Image.fromarray((CAT * 2).astype(np.uint8))] * 3)),
    }
    found = read(files)
    words = said(found)
    for expected in (
        "labels.json: not readable JSON",
        "masks/9.png: a mask without a picture",
        "masks/3.png: not a readable PNG mask",
        "masks/4.png: a mask of colours",
        "images/5.jpg (masks/5.png): is 32×24 pixels, its annotations say 90×9",
        "is 32×24 pixels, its annotations say 64×48; they are scaled",
    ):
        assert expected in words
    assert found.counts() == {"cat": 2, "dog": 3}
    assert np.array_equal(found.pictures[2].instances[0].mask, CAT)


def test_binary_masks_in_a_set_of_numbers() -> None:
    files = {**masked(), "masks/1.png": grey(CAT * 255), "masks/2.png": grey(DOG2 * 255)}
    found = read(files)
    assert found.counts() == {"object": 2}
    assert "255 is read as 'object'" in said(found)
    assert np.array_equal(found.pictures[1].instances[0].mask, DOG2)
    assert read({**files, "classes.txt": b"cat"}).counts() == {"cat": 2}


def test_blurred_and_overlapping_masks_of_classes() -> None:
    blurred = np.where(CAT, 255, 20)
    blurred[0, 0] = 130
    part = CAT & block(0, 0, 5, 24)
    found = read({**per_class(), "masks/cat/1.png": grey(blurred), "masks/fox/1.png": grey(part)})
    words = said(found)
    assert "a binary mask of many values; those from 128" in words
    assert "two classes claim the same pixels" in words
    masks = {item.label: item.mask for item in found.pictures[0].instances}
    assert masks["cat"][0, 0]
    assert not (masks["cat"] & masks["fox"]).any()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_few_bits(bits: int) -> None:
    image = Image.fromarray(numbers((1, CAT)))
    image.putpalette([9, 9, 9, 200, 0, 0])
    found = read({"images/1.jpg": photo(1), "masks/1.png": encoded(image, bits=bits), "classes.txt": b"cat"})
    assert np.array_equal(found.pictures[0].instances[0].mask, CAT)


def test_numbers_of_two_bytes_and_masks_with_opacity() -> None:
    wide = Image.fromarray(numbers((1, CAT)).astype(np.uint16) * 700)
    clear = Image.fromarray(numbers((2, DOG))).convert("LA")
    files = {**masked(), "masks/1.png": encoded(wide), "masks/2.png": encoded(clear)}
    assert read(files).counts() == {"class 2": 1, "class 700": 1}


def test_masks_beyond_the_limits() -> None:
    with pytest.raises(DataError, match="32×24 pixels, at most"):
        read(masked(), limits=Limits(pixels=500))
    many = {f"masks/{name}/1.png": grey(CAT) for name in "abcdefgh"}
    with pytest.raises(DataError, match="masks of one picture need more than"):
        read({"images/1.jpg": photo(1), **many}, limits=Limits(bytes_all=5000))


def test_a_zip_within_is_never_extracted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    read({f"../../{name}": content for name, content in with_coco(coco()).items()})
    assert not list(tmp_path.iterdir())
    outside = on_disk(tmp_path / "outside", {"1.jpg": photo(1)})
    folder = on_disk(tmp_path / "set", {**with_coco(coco())})
    (folder / "images" / "1.jpg").unlink()
    (folder / "images" / "1.jpg").symlink_to(outside / "1.jpg")
    assert "leads out of the folder" in said(read_annotated(folder, leave_out=True))
