"""Written annotations: what is written reads back the same, here and in COCO's own mask functions."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from annotated_files import block, encoded, on_disk, read, said
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from skimage.draw import polygon as filled

from metalab.data.annotated import Instance, Picture, read_annotated
from metalab.data.annotations_out import class_mask, mask_png, to_coco
from metalab.data.coco_masks import draw_segmentation, from_runs, pack, runs_of, unpack
from metalab.data.frames import Frame
from metalab.data.masks import box_around, drawn
from metalab.errors import DataError


def frame(mask: np.ndarray) -> Frame:
    return Frame((mask.shape[1], mask.shape[0]), mask.shape)


def blobs(seed: int, shape: tuple[int, int], smooth: float = 2.0) -> np.ndarray:
    """Return a random mask bool (H, W) of several parts, with holes."""
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, smooth) > 0


def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [tuple(rng.integers(1, 70, 2)) for _ in range(60)]
    random = [blobs(i, shape, rng.choice([0, 1, 3])) for i, shape in enumerate(shapes)]
    return [*random, np.zeros((5, 7), bool), np.ones((5, 7), bool), np.eye(9, dtype=bool)]


# --- run lengths


def test_run_lengths_are_those_of_coco() -> None:
    coco = pytest.importorskip("faster_coco_eval").mask
    for mask in masks():
        counts = runs_of(mask)
        theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        text = theirs["counts"] if isinstance(theirs["counts"], str) else theirs["counts"].decode()
        assert pack(counts) == text
        assert unpack(text) == counts
        size = list(mask.shape)
        for held in (counts, text):
            assert np.array_equal(draw_segmentation({"size": size, "counts": held}, frame(mask)), mask)


def test_a_packed_mask_that_was_noted_down() -> None:
    """A string as COCO's own functions write it, for where it is not installed."""
    mask = block(2, 3, 10, 12, (32, 24))
    assert runs_of(mask) == [51, 9, *[15, 9] * 7, 540]
    assert pack(runs_of(mask)) == "c19?0000000000000]`0"
    assert unpack("c19?0000000000000]`0") == runs_of(mask)


@given(st.lists(st.integers(0, 2**40), max_size=30))
def test_any_run_lengths_are_packed_and_unpacked(counts: list[int]) -> None:
    assert unpack(pack(counts)) == counts


@given(st.text(max_size=30))
def test_any_text_is_unpacked_or_refused(text: str) -> None:
    try:
        counts = unpack(text)
        from_runs(counts, (4, 5), Frame((4, 5), (5, 4)))
    except DataError:
        pass


# --- outlines

COORDINATES = st.floats(-10, 40, width=32)


@settings(deadline=None)
@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=12))
def test_pixels_whose_centre_lies_inside_are_drawn(corners: list[tuple[float, float]]) -> None:
    # A shift that no corner has keeps centres off the edges, where the two may differ.
    points = np.add(corners, (0.001234, 0.004321))
    mask = drawn([points], Frame((30, 25), (25, 30)))
    expected = np.zeros((25, 30), bool)
    expected[filled(points[:, 1] - 0.5, points[:, 0] - 0.5, (25, 30))] = True
    assert np.count_nonzero(mask != expected) <= 1


def test_outlines_are_drawn_much_as_coco_does() -> None:
    coco = pytest.importorskip("faster_coco_eval").mask
    rng = np.random.default_rng(0)
    for _ in range(50):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 20))
        reach = rng.uniform(15, 45, 20)
        points = np.stack([50 + reach * np.cos(angles), 50 + reach * np.sin(angles)], 1)
        mask = drawn([points], Frame((100, 100), (100, 100)))
        theirs = coco.decode(coco.merge(coco.frPyObjects([points.ravel().tolist()], 100, 100))).astype(bool)
        assert (mask & theirs).sum() / (mask | theirs).sum() > 0.95


# --- there and back


def picture(seed: int, holes: bool = True) -> Picture:
    rng = np.random.default_rng(seed)
    shape = tuple(int(side) for side in rng.integers(16, 60, 2))
    image = rng.integers(0, 255, (*shape, 3), dtype=np.uint8)
    parts, count = ndimage.label(blobs(seed, shape))
    instances = []
    for k in range(1, count + 1):
        mask = parts == k if holes else ndimage.binary_fill_holes(parts == k)
        instances.append(Instance(f"class {k % 3}", box_around(mask), mask))
    instances.append(Instance("a/b 😀", (1.5, 2.0, 9.25, 14.0)))
    ignore = np.zeros(shape, bool)
    ignore[:4, -3:] = True
    return Picture(f"in/{seed}.png", image, instances, ignore if seed % 2 else None)


def same(one: Picture, other: Picture) -> None:
    assert one.name == other.name
    assert np.array_equal(one.image, other.image)
    assert [(item.label, item.box) for item in one.instances] == [
        (item.label, item.box) for item in other.instances
    ]
    pairs = [(a.mask, b.mask) for a, b in zip(one.instances, other.instances, strict=True)]
    for mine, theirs in [*pairs, (one.ignore, other.ignore)]:
        assert (mine is None) == (theirs is None)
        assert mine is None or np.array_equal(mine, theirs)


def test_coco_there_and_back(tmp_path: Path) -> None:
    pictures = [picture(seed) for seed in range(12)] + [Picture("in/x.png", np.zeros((9, 9, 3), np.uint8))]
    held = to_coco(pictures)
    kinds = {type(entry.get("segmentation")) for entry in held["annotations"]}
    assert kinds == {list, dict, type(None)}
    assert all(type(entry["area"]) is float for entry in held["annotations"])
    assert len({entry["id"] for entry in held["annotations"]}) == len(held["annotations"])
    files = {item.name: encoded(Image.fromarray(item.image)) for item in pictures}
    files["instances.json"] = json.dumps(held).encode()
    for found in (read(files, leave_out=False), read_annotated(on_disk(tmp_path, files))):
        for one, other in zip(pictures, found.pictures, strict=True):
            same(one, other)
        assert [note.what for note in found.notes] == ["a picture without an object"]


def test_coco_reads_what_is_written() -> None:
    coco = pytest.importorskip("faster_coco_eval").mask
    pictures = [picture(seed) for seed in range(6)]
    masks = [item.mask for one in pictures for item in one.instances]
    written = [entry for entry in to_coco(pictures)["annotations"] if not entry["iscrowd"]]
    for mask, entry in zip(masks, written, strict=True):
        if mask is None:
            continue
        shape = entry["segmentation"]
        if isinstance(shape, dict):
            theirs = coco.decode(shape).astype(bool)
            assert np.array_equal(mask, theirs)
            continue
        theirs = coco.decode(coco.merge(coco.frPyObjects(shape, *mask.shape))).astype(bool)
        assert np.count_nonzero(mask != theirs) <= 0.03 * np.count_nonzero(mask) + 2


def test_scores() -> None:
    pictures = [picture(0), picture(2)]
    scores = [[0.5] * len(item.instances) for item in pictures]
    assert {entry["score"] for entry in to_coco(pictures, scores)["annotations"]} == {0.5}
    for wrong in ([], [scores[0], scores[1][1:]]):
        with pytest.raises(DataError, match="not one score"):
            to_coco(pictures, wrong)


def test_masks_there_and_back() -> None:
    names = ["fox", "cat", "dog"]
    a, b, c = block(0, 0, 20, 20), block(5, 5, 10, 10), block(12, 2, 30, 22)
    instances = [Instance("dog", box_around(b), b), Instance("cat", box_around(a), a)]
    instances += [Instance("owl", box_around(c), c), Instance("fox", (1.0, 1.0, 2.0, 2.0))]
    one = Picture("images/1.png", np.zeros((24, 32, 3), np.uint8), instances, block(28, 0, 32, 5))
    values = class_mask(one, names)
    assert values.dtype == np.uint8
    assert {int(value): int((values == value).sum()) for value in np.unique(values)} == {
        0: 768 - 400 - 20,
        2: 400 - 25,
        3: 25,
        255: 20,
    }
    content = mask_png(values.astype(np.int64), names)
    image = Image.open(io.BytesIO(content))
    assert image.mode == "P"
    assert image.text["classes"] == "fox\ncat\ndog"
    assert image.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
    assert np.array_equal(np.asarray(image), values)
    files = {"images/1.png": encoded(Image.fromarray(one.image)), "masks/1.png": content}
    found = read({**files, "classes.txt": "\n".join(names).encode()}, leave_out=False)
    assert np.array_equal(class_mask(found.pictures[0], names), values)
    assert not found.notes, said(found)


@pytest.mark.parametrize(
    ("mask", "names", "words"),
    [
        (np.full((4, 4), 3), ["a", "b"], "holds 3, there are 2 classes"),
        (np.full((4, 4), -1), ["a"], "holds -1"),
        (np.full((4, 4), 1.0), ["a"], "float64"),
        (np.zeros((4, 4, 3), int), ["a"], "shape"),
        (np.zeros((0, 4), int), ["a"], "shape"),
        (np.zeros((4, 4), int), ["a"] * 255, "at most 254"),
    ],
)
def test_masks_that_cannot_be_written(mask: np.ndarray, names: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        mask_png(mask, names)


def test_too_many_classes_for_a_mask() -> None:
    with pytest.raises(DataError, match="at most 254"):
        class_mask(picture(0), [str(i) for i in range(300)])


def test_the_coins_of_scikit_image() -> None:
    """A real picture, its coins found by a threshold, written as COCO and read again."""
    from skimage.data import coins
    from skimage.filters import threshold_otsu
    from skimage.measure import label, regionprops
    from skimage.morphology import closing

    grey = coins()
    parts = label(closing(grey > threshold_otsu(grey), np.ones((5, 5))))
    instances = []
    for region in regionprops(parts):
        if 500 < region.area < 10_000:
            mask = parts == region.label
            instances.append(Instance("coin", box_around(mask), mask))
    assert len(instances) >= 15
    one = Picture("coins.png", np.repeat(grey[..., None], 3, 2), instances)
    files = {"coins.png": encoded(Image.fromarray(grey))}
    found = read({**files, "coins.json": json.dumps(to_coco([one])).encode()}, leave_out=False)
    assert found.counts() == {"coin": 1}
    same(one, found.pictures[0])
