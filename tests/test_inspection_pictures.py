"""Places of pictures before and after adaptation: balanced, labelled by hand, scored as the task is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metalab.api import create_metalearner
from metalab.backbones import create_backbone
from metalab.baselines_dense import BOX_BASELINES, MASK_BASELINES
from metalab.config import Config
from metalab.data.scenes import SceneSource
from metalab.embeddings import embed
from metalab.inspection import BEFORE, TaskView, separation
from metalab.inspection_pictures import CROP, PLACES, inspect_pictures, place_labels
from metalab.metalearners.base import score
from metalab.tasks import Examples, Task, TaskShape, task_at

KINDS = {"segmentation": "masks", "detection": "boxes"}


def looked_at(method: str, way: int = 2) -> tuple[TaskView, Task, object]:
    learner = create_metalearner(method, create_backbone(Config.create(application="segmentation")))
    source = SceneSource(64, KINDS[learner.application])
    task = task_at(source, 0, "test", TaskShape(way, 2, 2), seed=1)
    names = [f"class {i}" for i in range(way)]
    pretrained = learner.backbone.frozen_copy()
    return inspect_pictures(learner, pretrained, task, names), task, (learner, pretrained)


@pytest.mark.parametrize(
    ("method", "stages"),
    [
        ("guided-masks", 2),
        ("pixel-protonet", 2),
        ("pixel-anil", None),
        ("guided-boxes", 2),
        ("anil-boxes", 7),
    ],
)
def test_every_stage_of_a_task(method: str, stages: int | None) -> None:
    view, task, (learner, pretrained) = looked_at(method)
    assert view.classes == ["(background)", "class 0", "class 1"]
    assert view.stages[0].name == BEFORE
    assert stages is None or len(view.stages) == stages
    counts = np.bincount(view.labels[view.support], minlength=3)
    assert counts[0] == PLACES // 3
    assert counts.min() > 5
    assert counts.max() <= PLACES // 3
    points, query = len(view.labels), int((~view.support).sum())
    assert view.images.shape == (points, 3, CROP, CROP)
    for stage in view.stages:
        assert stage.features.shape == (points, view.stages[0].features.shape[1])
        assert stage.probabilities.shape == (query, 3)
        np.testing.assert_allclose(stage.probabilities.sum(1), 1, atol=1e-5)
        assert np.isfinite(stage.features).all()
    with torch.no_grad():
        after = learner.predict(learner.adapt(task.support, 2), task.query.x)
        baselines = MASK_BASELINES if learner.application == "segmentation" else BOX_BASELINES
        before = {name: make for name, _, make in baselines}["nearest-centroid"](pretrained)(task, 0)
    assert view.stages[-1].accuracy == pytest.approx(float(score(after, task.query)))
    assert view.stages[0].accuracy == pytest.approx(float(score(before, task.query)))
    assert separation(view, embed(view.features, "pca")).before is not None


def test_places_by_hand() -> None:
    masks = torch.zeros(1, 16, 16, dtype=torch.long)
    masks[0, 4:8, 8:16] = 2
    masks[0, 12:, :8] = -1
    labels = place_labels(Examples(torch.zeros(1, 3, 16, 16), masks), 2)[0]
    assert labels.tolist() == [[0, 0, 0, 0], [0, 0, 2, 2], [0, 0, 0, 0], [-1, -1, 0, 0]]
    boxes = torch.tensor([[[1.0, 0, 0, 12, 12], [-1.0, 0, 0, 0, 0]]])
    labels = place_labels(Examples(torch.zeros(1, 3, 16, 16), boxes), 2)[0]
    assert labels[1, 1] == 2
    assert labels[3, 3] == labels[0, 3] == 0


def test_crops_show_their_places() -> None:
    """The picture's brightness tells where a crop was cut."""
    view, task, _ = looked_at("guided-masks", way=1)
    assert set(view.labels) == {0, 1}
    x = task.support.x
    middle = view.images[0][:, CROP // 2, CROP // 2]
    found = (x[:, :, 2::4, 2::4] - torch.from_numpy(middle)[:, None, None]).abs().amax(1).min()
    assert float(found) < 1e-6
