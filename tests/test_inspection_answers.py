"""Tokens before and after adaptation: balanced, labelled by the answers, shown among their neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from answer_files import small_learner

from metalab.data.questions import QuestionSource, windows_at
from metalab.embeddings import embed
from metalab.inspection import BEFORE, TaskView, separation
from metalab.inspection_answers import CLASSES, HEIGHT, TOKENS, WIDTH, inspect_answers
from metalab.metalearners.base import score
from metalab.plots_features import before_after, hover_texts
from metalab.tasks import TaskShape, task_at

SHAPE = TaskShape(1, 3, 4)


def looked_at(method: str) -> tuple[TaskView, float]:
    learner, source = small_learner(method), QuestionSource(96)
    task = task_at(source, 1, "test", SHAPE, 1)
    words = [window.words() for window in windows_at(source, 1, "test", SHAPE, 1)]
    with torch.no_grad():
        after = score(learner.predict(learner.adapt(task.support, 1), task.query.x), task.query)
    return inspect_answers(learner, learner.backbone.frozen_copy(), task, words), float(after)


@pytest.mark.parametrize("method", ["guided-spans", "token-protonet", "token-anil"])
def test_every_stage_of_a_task(method: str) -> None:
    view, after = looked_at(method)
    assert view.classes == list(CLASSES)
    assert view.stages[0].name == BEFORE
    assert len(view.stages) >= 2
    assert view.stages[-1].accuracy == pytest.approx(after)
    counts = np.bincount(view.labels[view.support], minlength=3)
    assert counts[0] == TOKENS // 3
    assert counts[1] == SHAPE.shot
    assert counts.max() <= TOKENS // 3
    assert np.bincount(view.labels[~view.support], minlength=3)[1] == SHAPE.query
    points, query = len(view.labels), int((~view.support).sum())
    assert view.images.shape == (points, 1, HEIGHT, WIDTH)
    for stage in view.stages:
        assert stage.features.shape == (points, view.stages[0].features.shape[1])
        assert stage.probabilities.shape == (query, 3)
        np.testing.assert_allclose(stage.probabilities.sum(1), 1, atol=1e-5)


def test_a_token_is_shown_among_its_neighbours() -> None:
    view, _ = looked_at("guided-spans")
    assert len(view.captions) == len(view.labels)
    assert all("▸" in caption and "◂" in caption for caption in view.captions)
    assert view.images.min() >= 0
    assert view.images.max() == 1
    assert all(image[:, :, WIDTH // 2 - 8 : WIDTH // 2 + 8].any() for image in view.images), "never blank"
    assert "▸" in hover_texts(view)[0]
    arrays, rest = view.to_arrays()
    assert TaskView.from_arrays(arrays, rest).captions == view.captions
    del rest["captions"]  # as views of earlier versions
    assert TaskView.from_arrays(arrays, rest).captions is None


def test_it_is_drawn_and_measured() -> None:
    view, _ = looked_at("guided-spans")
    embedding = embed(view.features, "pca")
    assert before_after(view, embedding).data
    assert 0 <= separation(view, embedding).after.neighbour_accuracy <= 1
