"""Anything at all as annotations: it is read, or refused with a reason; never anything else."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import numpy as np
import pytest
from annotated_files import CAT, DOG, HEIGHT, WIDTH, Files, coco, grey, numbers, photo, read, voc, with_coco
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metalab.data.annotated import AnnotatedSet
from metalab.data.annotations_out import to_coco
from metalab.data.archives import Limits
from metalab.errors import MetalabError

LIMITS = Limits(pixels=1_000_000)
NUMBERS = [0, 1, -1, 2, 3, 7, 24, 32, 255, 2**31, 2**63, 10**30, -(10**18), 0.5, 1e-320, 1e308, -1e308]
TEXTS = ["", "1", "cat", "../1.jpg", "/etc/passwd", "\0", "\ud800", "😀" * 200]
LISTS = [[], [[]], [{}], [1, 2, 3, 4], [[1, 2, 3, 4, 5, 6]], ["1.jpg"]]
RUNS = [
    {"size": [24, 32], "counts": "0"},
    {"size": [24, 32], "counts": [768]},
    {"size": [10**6, 10**6], "counts": [10**12]},
]
NO_NUMBERS = [float("nan"), float("inf"), float("-inf")]
ODD: list[Any] = [None, True, False, *NUMBERS, *NO_NUMBERS, *TEXTS, {}, {"a": 1}, *LISTS, *RUNS]


def sound(found: AnnotatedSet) -> None:
    """Check what every set that was read promises."""
    for picture in found.pictures:
        height, width = picture.image.shape[:2]
        assert picture.image.dtype == np.uint8
        for mask in [picture.ignore, *(item.mask for item in picture.instances)]:
            assert mask is None or (mask.shape == (height, width) and mask.dtype == bool and mask.any())
        for instance in picture.instances:
            x1, y1, x2, y2 = instance.box
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height
            assert all(type(value) is float for value in instance.box)
            assert 0 < len(instance.label) <= 100
            instance.label.encode()
        picture.name.encode()
    for note in found.notes:
        str(note).encode()
        assert len(note.what) < 1000
    json.dumps(to_coco(found.pictures), allow_nan=False)


def tried(files: Files, leave_out: bool = True) -> bool:
    """Read ``files`` and say whether that went well; only a reason may be raised."""
    try:
        found = read(files, leave_out=leave_out, limits=LIMITS)
    except MetalabError:
        return False
    sound(found)
    return True


def places(held: object) -> list[tuple[Any, Any]]:
    """Return (container, key) of every value within ``held``."""
    keys = list(held) if isinstance(held, dict) else range(len(held)) if isinstance(held, list) else []
    return [place for key in keys for place in [(held, key), *places(held[key])]]


def full_coco() -> dict[str, Any]:
    held = coco()
    held["annotations"][1]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": "c19?0000000000000]`0"}
    counts = [51, 9, *[15, 9] * 7, 540]
    held["annotations"][2]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": counts}
    held["annotations"].append({"id": 5, "image_id": 2, "category_id": 3, "iscrowd": 1, "bbox": [9, 9, 5, 5]})
    return held


@pytest.mark.parametrize("leave_out", [True, False])
def test_each_value_of_coco_replaced_by_each_odd_one(leave_out: bool) -> None:
    whole = full_coco()
    assert tried(with_coco(whole), leave_out)
    went_well = 0
    rng = random.Random(0)
    for i in range(len(places(whole))):
        for odd in rng.sample(ODD, 5):
            held = copy.deepcopy(whole)
            container, key = places(held)[i]
            container[key] = copy.deepcopy(odd)
            went_well += tried(with_coco(held), leave_out)
    assert went_well > 20


def test_many_values_of_coco_replaced_removed_or_doubled() -> None:
    rng = random.Random(1)
    for _ in range(400):
        held = full_coco()
        for _ in range(rng.choice([2, 4, 10])):
            container, key = rng.choice(places(held))
            kind = rng.random()
            if kind < 0.6:
                container[key] = copy.deepcopy(rng.choice(ODD))
            elif kind < 0.8:
                del container[key]
            elif isinstance(container, list):
                container.append(copy.deepcopy(container[key]))
            if not places(held):
                break
        tried(with_coco(held))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
SEGMENTATION = JSON | st.lists(st.lists(st.floats() | st.integers(-50, 80), max_size=14), max_size=3)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(box=JSON | st.lists(st.floats() | st.integers(-50, 80), min_size=4, max_size=4), shape=SEGMENTATION)
def test_any_box_and_any_segmentation(box: object, shape: object) -> None:
    held = coco()
    held["annotations"][0].update({"bbox": box, "segmentation": shape})
    assert tried(with_coco(held))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON, JSON, JSON)
def test_any_three_values(images: object, annotations: object, categories: object) -> None:
    tried(with_coco({"images": images, "annotations": annotations, "categories": categories}))


def mutated(content: bytes, rng: random.Random) -> bytes:
    held = bytearray(content)
    for _ in range(rng.choice([1, 2, 5, 20])):
        at = rng.randrange(len(held))
        kind = rng.random()
        if kind < 0.6:
            held[at] = rng.randrange(256)
        elif kind < 0.75:
            del held[at : at + rng.randrange(1, 40)]
        elif kind < 0.9:
            held[at:at] = rng.randbytes(rng.randrange(1, 20))
        else:
            held[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"9999", b"[[[["])
        if not held:
            break
    return bytes(held)


VALUES = numbers((1, CAT), (2, DOG))
MASKED = {
    "images/1.jpg": photo(1),
    "masks/1.png": grey(VALUES, "P"),
    "labels.json": b'{"1": "cat", "2": "dog"}',
}
OBJECTS = {**voc(), "SegmentationObject/1.png": grey(VALUES), "SegmentationClass/1.png": grey(VALUES)}
DAMAGED: dict[str, tuple[Files, str]] = {
    "COCO": (with_coco(full_coco()), "instances.json"),
    "a picture": (with_coco(full_coco()), "images/1.jpg"),
    "VOC": (voc(), "Annotations/1.xml"),
    "VOC's objects": (OBJECTS, "SegmentationObject/1.png"),
    "a mask": (MASKED, "masks/1.png"),
    "a class's mask": ({"images/1.jpg": photo(1), "masks/cat/1.png": grey(CAT * 255)}, "masks/cat/1.png"),
    "names": (MASKED, "labels.json"),
    "a list of names": ({**MASKED, "labels.json": b"x", "classes.txt": b"bg\ncat\ndog\n"}, "classes.txt"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_bytes_are_read_or_refused(kind: str) -> None:
    files, name = DAMAGED[kind]
    assert tried(files)
    rng = random.Random(kind)
    for i in range(150):
        tried({**files, name: mutated(files[name], rng)}, leave_out=i % 3 != 0)


# --- what would take for ever


def test_what_is_made_to_be_slow_is_not() -> None:
    """Without bounds each of these would take minutes or hours, and be noticed."""
    held = coco()
    zigzag = [value for i in range(9_900) for value in (i % 31, 23 if i % 2 else 0)]
    held["annotations"] = [
        {"id": i, "image_id": 1, "category_id": 3, "segmentation": [zigzag]} for i in range(50)
    ]
    tried(with_coco(held))
    runs = {"size": [10**6, 10**6], "counts": [10**11, 9 * 10**11]}
    held["annotations"] = [{"image_id": 1, "category_id": 3, "segmentation": runs}] * 500
    held["images"] = [{"id": 1, "file_name": "1.jpg", "width": 10**6, "height": 10**6}]
    tried({**with_coco(held), "images/1.jpg": photo(1, size=(24, 24))})
    held["images"] = [{"id": i, "file_name": "1.jpg"} for i in range(20_000)]
    many = {f"{i}/1.jpg": b"" for i in range(3_000)}
    tried({"instances.json": json.dumps(held).encode(), **many})
    tried(with_coco(b'{"images": "' + b"\\" * 5_000_000))
