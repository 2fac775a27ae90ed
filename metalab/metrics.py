"""How good masks and boxes are: intersection over union, and COCO's average precision by its evaluator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metalab.boxes import decode_boxes


def mean_iou(outputs: Tensor, masks: Tensor) -> Tensor:
    """Return the intersection over union of each class, over all pictures of a task together, averaged.

    ``outputs`` (n, way + 1, height, width) are logits, the ground first; ``masks`` (n, height, width) int64,
    0 for the ground, -1 for pixels that do not count. A class that is nowhere, and nowhere predicted, is
    left out.
    """
    return _mean_known(*_overlaps(outputs, masks, range(1, outputs.shape[1])))


def ground_iou(outputs: Tensor, masks: Tensor) -> Tensor:
    """Return FB-IoU: the mean over the ground and all classes as one; arguments as :func:`mean_iou`."""
    merged = torch.stack([outputs[:, 0], outputs[:, 1:].amax(1)], 1)
    return _mean_known(*_overlaps(merged, masks.clamp(max=1), range(2)))


def mask_scores(outputs: Tensor, masks: Tensor) -> dict[str, float]:
    """Return the mean IoU and FB-IoU, 0..1, of one task; arguments as :func:`mean_iou`."""
    return {"mean IoU": float(mean_iou(outputs, masks)), "FB-IoU": float(ground_iou(outputs, masks))}


def _overlaps(outputs: Tensor, masks: Tensor, classes: range) -> tuple[Tensor, Tensor]:
    predicted, counts = outputs.argmax(1), masks >= 0
    both, either = [], []
    for number in classes:
        ours, theirs = (predicted == number) & counts, masks == number
        both.append((ours & theirs).sum())
        either.append((ours | theirs).sum())
    return torch.stack(both).float(), torch.stack(either).float()


def _mean_known(both: Tensor, either: Tensor) -> Tensor:
    known = (either > 0).float()
    return (both / either.clamp(min=1)).sum() / known.sum().clamp(min=1)


def average_precision(outputs: Tensor, boxes: Tensor) -> Tensor:
    """Return AP50 of one task; arguments as :func:`coco_scores`."""
    found = coco_scores(outputs, boxes)["AP50"]
    return torch.tensor(found, dtype=outputs.dtype, device=outputs.device)


def coco_scores(outputs: Tensor, boxes: Tensor) -> dict[str, float]:
    """Return COCO's AP50, AP (IoU 0.5 to 0.95) and AR (100 boxes a picture), 0..1, of one task's pictures.

    ``outputs`` (n, way, 5, ·, ·) as :func:`metalab.boxes.decode_boxes` takes them; ``boxes`` (n, most, 5).
    """
    from faster_coco_eval import COCO, COCOeval_faster

    annotations, results = [], []
    for picture, held in enumerate(boxes.cpu().numpy()):
        for number, x1, y1, x2, y2 in held[held[:, 0] >= 0].tolist():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": picture,
                    "category_id": int(number),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
    for picture, found in enumerate(decode_boxes(outputs)):
        for number, score, (x1, y1, x2, y2) in zip(
            found.classes.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True
        ):
            results.append(
                {
                    "image_id": picture,
                    "category_id": number,
                    "score": score,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                }
            )
    if not annotations or not results:
        return {"AP50": 0.0, "AP": 0.0, "AR": 0.0}
    truth = COCO(
        {
            "images": [{"id": i} for i in range(len(boxes))],
            "categories": [{"id": i, "name": str(i)} for i in range(outputs.shape[1])],
            "annotations": annotations,
        }
    )
    judge = COCOeval_faster(truth, truth.loadRes(results), iouType="bbox", print_function=lambda *_: None)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    stats = np.clip(np.asarray(judge.stats, dtype=float), 0, 1)
    return {"AP50": float(stats[1]), "AP": float(stats[0]), "AR": float(stats[8])}
