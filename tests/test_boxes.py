"""Boxes: targets and decoding are inverse, suppression, scores against hand-made cases."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import jaccard_score

from metalab.boxes import box_targets, decode_boxes, overlaps, suppress
from metalab.metalearners.guided import box_loss, mask_loss
from metalab.metrics import coco_scores, ground_iou, mean_iou

BOXES = torch.tensor(
    [[[0, 4, 8, 28, 40], [1, 36, 36, 60, 62]], [[1, 10, 10, 30, 26], [-1, 0, 0, 0, 0]]], dtype=torch.float32
)


def perfect(boxes: torch.Tensor, way: int = 2, side: int = 16) -> torch.Tensor:
    """Return outputs (n, way, 5, side, side) that say exactly what ``boxes`` are."""
    inside, core, sides = box_targets(boxes, way, side, side)
    score = torch.where(core, 6.0 + inside, -8.0)
    return torch.cat([score[:, :, None], sides.clamp(min=0.01).log()], 2)


def test_decoding_undoes_the_targets() -> None:
    found = decode_boxes(perfect(BOXES))
    for held, got in zip(BOXES, found, strict=True):
        wanted = held[held[:, 0] >= 0]
        assert len(got.boxes) == len(wanted)
        for number, *box in wanted.tolist():
            mine = got.boxes[got.classes == int(number)]
            torch.testing.assert_close(mine[0], torch.tensor(box), atol=1e-3, rtol=1e-4)


def test_a_picture_full_of_objects_is_found_whole() -> None:
    corners = [[0.0, x, y, x + 16, y + 16] for x in range(2, 160, 20) for y in range(2, 160, 20)]
    (found,) = decode_boxes(perfect(torch.tensor([corners]), 1, 40))
    sure = found.boxes[found.scores > 0.5].round()
    assert sorted(sure.tolist()) == sorted(box[1:] for box in corners)


def test_a_small_box_still_has_a_place() -> None:
    tiny = torch.tensor([[[0.0, 21, 21, 23, 23]]])
    assert box_targets(tiny, 1, 16, 16)[1].sum() == 1


def test_perfect_outputs_score_one_and_cost_little() -> None:
    scores = coco_scores(perfect(BOXES), BOXES)
    assert scores["AP50"] > 0.99
    assert scores["AP"] > 0.99
    assert scores["AR"] > 0.99
    assert box_loss(perfect(BOXES), BOXES) < 0.05
    moved = BOXES.clone()
    moved[..., 1:] += 16
    assert coco_scores(perfect(BOXES), moved)["AP50"] < 0.1
    assert box_loss(perfect(BOXES), moved) > 1
    assert coco_scores(torch.full((2, 2, 5, 16, 16), -9.0), BOXES)["AP50"] == 0


def test_suppression_keeps_the_best_of_a_heap() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30]])
    assert suppress(boxes).tolist() == [0, 2]
    assert abs(float(overlaps(boxes[:1], boxes[1:2])) - 90 / 110) < 1e-6


def test_mean_iou_by_hand() -> None:
    masks = torch.zeros(1, 4, 4, dtype=torch.long)
    masks[0, :2] = 1
    masks[0, 3] = -1
    outputs = torch.zeros(1, 3, 4, 4)
    outputs[0, 1, :, :2] = 1  # the left half is said to be class 1: 4 of 8 right, 2 wrong, 2 do not count
    assert abs(float(mean_iou(outputs, masks)) - 4 / 10) < 1e-6
    assert abs(float(ground_iou(outputs, masks)) - (4 / 10 + 2 / 8) / 2) < 1e-6


def test_mean_iou_is_that_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 4, 12, 12, generator=generator)
    masks = torch.randint(-1, 4, (3, 12, 12), generator=generator)
    ours, theirs = outputs.argmax(1)[masks >= 0], masks[masks >= 0]
    wanted = jaccard_score(theirs, ours, labels=[1, 2, 3], average="macro")
    assert float(mean_iou(outputs, masks)) == pytest.approx(wanted, abs=1e-6)
    shown = torch.stack([outputs[:, 0], outputs[:, 1:].amax(1)], 1).argmax(1)[masks >= 0]
    wanted = jaccard_score(theirs > 0, shown > 0, labels=[0, 1], average="macro")
    assert float(ground_iou(outputs, masks)) == pytest.approx(wanted, abs=1e-6)


def test_mask_loss_falls_towards_the_truth() -> None:
    masks = torch.zeros(1, 8, 8, dtype=torch.long)
    masks[0, :4] = 1
    right = torch.stack([(masks == k).float() for k in range(2)], 1) * 10
    assert (
        mask_loss(right, masks) < 0.1 < mask_loss(torch.zeros_like(right), masks) < mask_loss(-right, masks)
    )
