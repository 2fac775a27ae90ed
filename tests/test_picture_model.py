"""Adapted picture models: predict in the picture's own pixels, save and load, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from annotated_files import coco, on_disk, with_coco

import metalab
from metalab.api import create_metalearner
from metalab.backbones import Pyramid, seeded_initialisation
from metalab.boxes import OVERLAP, decode_boxes, overlaps
from metalab.config import Config
from metalab.data import create_source, create_test_source
from metalab.data.annotated import read_annotated
from metalab.data.annotation import Instance, Picture
from metalab.data.fitting import SIZE, fitting_size
from metalab.data.labelled_arrays import labelled_arrays
from metalab.errors import DataError
from metalab.picture_model import PictureModel, adapt_pictures, coco_results, mask_file
from metalab.shipped import load_trained, shipped
from metalab.tasks import TaskShape


def picture(left: int, mask: bool = True) -> Picture:
    """A red square on grey, 60 × 90 pixels."""
    image = np.full((60, 90, 3), 120, np.uint8)
    image[10:40, left : left + 30] = (220, 30, 30)
    held = np.zeros((60, 90), bool)
    held[10:40, left : left + 30] = True
    box = (float(left), 10.0, float(left + 30), 40.0)
    return Picture(f"{left}.png", image, [Instance("square", box, held if mask else None)])


def adapted(name: str) -> PictureModel:
    with seeded_initialisation(0):
        learner = create_metalearner(name, Pyramid(width=16).eval())
        if hasattr(learner, "out"):  # which says nothing before it is trained
            torch.nn.init.normal_(learner.out.weight, std=0.1)
    return adapt_pictures(learner, [picture(5), picture(50)], size=64)


def test_masks_come_in_the_pictures_own_pixels() -> None:
    model = adapted("pixel-r2d2")
    found = model.predict([picture(30).image])[0]
    labels = found.class_mask(model.classes)
    assert labels.shape == (60, 90)
    truth = picture(30).instances[0].mask
    assert (labels[truth] == 1).mean() > 0.8
    assert (labels[~truth] == 0).mean() > 0.8
    assert found.scores
    assert 0.5 < found.scores[0] <= 1
    assert mask_file(found, model.classes).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "name", ["pixel-r2d2", "pixel-lrd2", "pixel-parts", "guided-masks", "guided-boxes", "anil-boxes"]
)
def test_a_saved_model_predicts_the_same(name: str, tmp_path: Path) -> None:
    model = adapted(name)
    model.save(tmp_path / "m.safetensors")
    again = metalab.load(tmp_path / "m.safetensors")
    assert (again.classes, again.size, again.application) == (["square"], 64, model.application)
    image = picture(30).image
    torch.testing.assert_close(again.outputs([image]), model.outputs([image]))
    assert json.dumps(coco_results(again.predict([image], least=0.0)))


def test_boxes_and_what_detection_takes() -> None:
    with seeded_initialisation(0):
        learner = create_metalearner("guided-boxes", Pyramid(width=16).eval())
    model = adapt_pictures(learner, [picture(5, mask=False)], size=64)
    found = model.predict([picture(30).image, np.zeros((40, 40), np.uint8)], least=0.0)
    for one in found:
        height, width = one.picture.image.shape[:2]
        for instance in one.picture.instances:
            x1, y1, x2, y2 = instance.box
            assert 0 <= x1 <= x2 <= width + 1e-3
            assert 0 <= y1 <= y2 <= height + 1e-3


def test_what_is_refused() -> None:
    learner = create_metalearner("pixel-protonet", Pyramid(width=16).eval())
    with pytest.raises(DataError, match="has a box but no mask"):
        adapt_pictures(learner, [picture(5, mask=False)], size=64)
    with pytest.raises(DataError, match="'cat'"):
        adapt_pictures(learner, [picture(5)], ["cat"], size=64)
    with pytest.raises(DataError, match="multiple of 16"):
        adapt_pictures(learner, [picture(5)], size=70)
    with pytest.raises(DataError, match="anything"):
        adapt_pictures(learner, [], size=64)


def test_task_learning_of_pictures() -> None:
    with seeded_initialisation(0):
        learner = create_metalearner("pixel-r2d2", Pyramid(width=16).eval())
    train, test = [picture(5), picture(50)], [picture(30)]
    masks = [one.instances[0].mask.astype(int) for one in (*train, *test)]
    images = [one.image for one in (*train, *test)]
    result = metalab.task_learning(learner, images[:2], masks[:2], images[2:], masks[2:])
    assert result.model.classes == ["1"]
    assert result.accuracy > 0.5
    assert metalab.task_learning(learner, images[:2], masks[:2], images[2:]).accuracy is None
    with pytest.raises(DataError, match=r"train_labels\[0\]"):
        metalab.task_learning(learner, images[:2], [masks[0][:5], masks[1]], images[2:])


def test_task_learning_of_boxes() -> None:
    with seeded_initialisation(0):
        learner = create_metalearner("guided-boxes", Pyramid(width=16).eval())
    images = [picture(5).image, picture(30).image]
    boxes = [[[3, 5, 10, 35, 40]], [[3, 30, 10, 60, 40]]]
    result = metalab.task_learning(learner, images[:1], boxes[:1], images[1:], boxes[1:])
    assert result.model.classes == ["3"]
    assert 0 <= result.accuracy <= 1
    with pytest.raises(DataError, match="class, x1, y1, x2, y2"):
        metalab.task_learning(learner, images[:1], [[[1, 2, 3]]], images[1:])


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((0, 10, 10, 10, 40), "without area"),
        ((0, 40, 10, 10, 40), "without area"),
        ((0, np.nan, 10, 30, 40), "without area"),
        ((0, 90, 10, 140, 40), "leaves the picture"),
        ((0, 300, 10, 340, 40), "leaves the picture"),
        ((-1, 10, 10, 30, 40), "class number"),
        ((0.5, 10, 10, 30, 40), "class number"),
    ],
)
def test_wrong_boxes_are_named(box: tuple[float, ...], said: str) -> None:
    good = (0, 5, 10, 35, 40)
    labelled_arrays([picture(5).image], [[good]], "boxes", "labels")
    with pytest.raises(DataError, match=said) as error:
        labelled_arrays([picture(5).image] * 2, [[good], [good, box]], "boxes", "labels")
    assert error.value.where.startswith("labels[1]")


def test_rounding_may_lead_a_box_out_by_less_than_a_pixel() -> None:
    image = picture(5).image
    box = (0, -0.4, 10, image.shape[1] + 0.6, 40)
    (found,) = labelled_arrays([image], [[box]], "boxes", "labels")
    assert found.instances[0].box == (0, 10, image.shape[1], 40)


@pytest.mark.parametrize("change", [lambda m: m - 1, lambda m: m + 0.5, lambda m: m * np.nan, lambda m: "x"])
def test_wrong_masks_are_named(change: Callable[[np.ndarray], object]) -> None:
    image, mask = picture(5).image, picture(5).instances[0].mask.astype(float)
    (found,) = labelled_arrays([image], [7 * mask], "masks", "labels")
    assert [one.label for one in found.instances] == ["7"]
    assert np.array_equal(found.instances[0].mask, mask > 0)
    with pytest.raises(DataError) as error:
        labelled_arrays([image, image], [mask, change(mask)], "masks", "labels")
    assert error.value.where == "labels[1]"


@pytest.mark.parametrize("image", [np.zeros((0, 5, 3), np.uint8), np.zeros(5), "x", np.zeros((4, 4, 2))])
def test_what_is_no_image_is_named(image: object) -> None:
    with pytest.raises(DataError, match="image 0 of labels"):
        labelled_arrays([image], [[(0, 1, 1, 3, 3)]], "boxes", "labels")
    with pytest.raises(DataError, match="no list"):
        labelled_arrays([picture(5).image], None, "boxes", "labels")


@pytest.mark.skipif(not shipped("detection"), reason="no model is shipped")
def test_adapt_takes_pictures() -> None:
    model = metalab.adapt("detection", [picture(5).image], [[(3, 5, 10, 35, 40)]])
    assert (model.application, model.classes) == ("detection", ["3"])


@pytest.mark.parametrize(
    "name",
    ["pixel-r2d2", "pixel-lrd2", "pixel-parts", "guided-masks", "guided-boxes", "anil-boxes", "reweighting"],
)
def test_onnx_says_the_same(name: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model = adapted(name)
    model.export(tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    for left in (5, 30):
        image = np.stack([picture(left).image, picture(left + 10).image, picture(left + 20).image])
        (found,) = session.run(None, {"image": image})
        outputs = model.outputs(list(image))
        wanted = outputs.softmax(1) if model.application == "segmentation" else rows(outputs, model.size)
        torch.testing.assert_close(torch.from_numpy(found), wanted, atol=1e-4, rtol=1e-4)


def rows(outputs: torch.Tensor, side: int) -> torch.Tensor:
    """Return the boxes in ``outputs`` as an exported detector gives them: by picture, class and score."""
    found = []
    for number, held in enumerate(decode_boxes(outputs)):
        for of in range(outputs.shape[1]):
            for score, box in zip(
                held.scores[held.classes == of], held.boxes[held.classes == of], strict=True
            ):
                found.append(torch.tensor([number, of, score, *(box / side)]))
    return torch.stack(found)


def test_an_exported_detector_suppresses_boxes_of_one_class_alone(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    two = [picture(5), picture(50)]
    two[1].instances[0] = replace(two[1].instances[0], label="other")
    model = adapt_pictures(load_trained("guided-boxes").metalearner, two, size=64)
    model.export(tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    image = np.stack([one.image for one in two])
    (found,) = session.run(None, {"image": image})
    torch.testing.assert_close(
        torch.from_numpy(found), rows(model.outputs(list(image)), 64), atol=1e-3, rtol=1e-3
    )
    for number in range(2):
        held = torch.from_numpy(found[found[:, 0] == 0][:, 1:])
        held = held[held[:, 0] == number, 2:]
        assert (overlaps(held, held) - torch.eye(len(held)) <= OVERLAP + 1e-4).all()
    assert len({*found[:, 1].tolist()}) == 2, "another class's box may lie on the same object"


def test_pictures_are_resized_so_that_objects_have_the_size_of_meta_training() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    boxes = [Instance("cat", (0, 0, 40, 20)), Instance("dog", (0, 0, 200, 100))]
    assert fitting_size([Picture("p", image, boxes)], ["cat"]) == 144, "28 pixels are a fifth of it"
    assert fitting_size([Picture("p", image, boxes)], ["dog"]) == 64, "not smaller"
    mask = np.zeros((100, 200), bool)
    mask[10:30, 10:50] = mask[70:90, 150:190] = mask[50, 100] = True  # two objects and a crumb
    assert fitting_size([Picture("p", image, [Instance("cat", (10, 10, 190, 90), mask)])], ["cat"]) == 144
    tiny = Instance("cat", (0, 0, 2, 2))
    assert fitting_size([Picture("p", image, [tiny])], ["cat"]) == 256, "not larger"
    assert fitting_size([Picture("p", image, [Instance("cat", tiny.box, mask & False)])], ["cat"]) == SIZE


def test_own_pictures_are_judged_at_the_side_at_which_they_are_adapted_to(tmp_path: Path) -> None:
    """Tasks over annotated files are as ``adapt`` sees them; meta-training keeps the side asked for."""
    folder = on_disk(tmp_path / "own", with_coco(coco()))
    pictures = read_annotated(folder).pictures
    side = fitting_size(pictures, ["cat", "dog"])
    assert side != SIZE
    config = Config.create(application="detection")
    tasks = create_test_source(config, "annotated", folder)
    assert tasks.size == side
    batch = tasks.sample(1, "test", TaskShape(1, 1, 1), torch.Generator().manual_seed(0))
    assert batch.query.x.shape[-2:] == (side, side)
    assert create_source(config.replace(source="annotated", data=folder)).size == 64
    model = adapt_pictures(create_metalearner("pixel-protonet", Pyramid(width=16).eval()), masked(pictures))
    assert model.size == side


def masked(pictures: list[Picture]) -> list[Picture]:
    """Return ``pictures`` with each box filled."""
    found = []
    for one in pictures:
        held = []
        for thing in one.instances:
            mask = np.zeros(one.image.shape[:2], bool)
            x1, y1, x2, y2 = (round(value) for value in thing.box)
            mask[y1:y2, x1:x2] = True
            held.append(Instance(thing.label, thing.box, mask))
        found.append(Picture(one.name, one.image, held))
    return found
