"""Composed scenes: what the masks and boxes say is what is drawn; splits share no object."""

from __future__ import annotations

import pytest
import torch

from metalab.data.scenes import SceneSource
from metalab.data.sprites import sprites
from metalab.errors import DataError
from metalab.tasks import SPLITS, TaskShape, seeded, task_list

SHAPE = TaskShape(2, 3, 2)


@pytest.fixture(scope="module")
def masks() -> SceneSource:
    return SceneSource(64, "masks")


@pytest.fixture(scope="module")
def boxes() -> SceneSource:
    return SceneSource(64, "boxes")


def test_splits_share_no_object_nor_near_twin() -> None:
    held = sprites()
    assert {split: len(numbers) > 50 for split, numbers in held.splits.items()} == dict.fromkeys(
        ("test", "validation", "train"), True
    )
    small = torch.nn.functional.interpolate(held.pixels, (12, 12), mode="area").flatten(1)
    small = torch.nn.functional.normalize(small - small.mean(0), dim=1)
    for one in SPLITS:
        for other in SPLITS:
            if one != other:
                likeness = small[held.splits[one]] @ small[held.splits[other]].t()
                assert likeness.max() <= 0.85 + 1e-6


def test_tasks_have_the_shapes_and_each_scene_shows_its_class(masks: SceneSource) -> None:
    batch = masks.sample(4, "train", SHAPE, seeded("cpu", 0))
    assert batch.support.x.shape == (4, 6, 3, 64, 64)
    assert batch.query.y.shape == (4, 4, 64, 64)
    assert float(batch.query.x.min()) >= 0
    assert float(batch.query.x.max()) <= 1
    seen = 0
    for task in batch:
        for number, y in enumerate(task.support.y):
            seen += int((y == 1 + number // SHAPE.shot).any())
    assert seen >= 22, "an object may be hidden behind others, rarely"


def test_masks_and_boxes_are_of_the_same_objects(masks: SceneSource, boxes: SceneSource) -> None:
    one = masks.sample(2, "test", SHAPE, seeded("cpu", 3))
    other = boxes.sample(2, "test", SHAPE, seeded("cpu", 3))
    torch.testing.assert_close(one.support.x, other.support.x)
    for labels, held in zip(one.support.y.flatten(0, 1), other.support.y.flatten(0, 1), strict=True):
        for number, x1, y1, x2, y2 in held[held[:, 0] >= 0].tolist():
            inside = labels[int(y1) : int(y2), int(x1) : int(x2)] == number + 1
            for side in (0, 1):
                assert inside.any(side)[[0, -1]].all(), "the box touches its object"


def test_task_lists_are_fixed(masks: SceneSource) -> None:
    first, again = (list(task_list(masks, 9, "validation", SHAPE, 7)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.query.x, other.query.x)
        assert torch.equal(one.query.y, other.query.y)


def test_labelled_scenes_number_the_meta_train_classes(masks: SceneSource) -> None:
    x, y = masks.labelled_scenes(16, seeded("cpu", 0))
    assert x.shape == (16, 3, 64, 64)
    assert int(y.min()) == 0
    assert int(y.max()) <= masks.n_train_classes


def test_too_many_classes_are_refused(masks: SceneSource) -> None:
    with pytest.raises(DataError, match="classes"):
        masks.check(TaskShape(200, 1, 1), "validation")
