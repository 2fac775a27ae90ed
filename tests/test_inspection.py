"""One task seen at every moment of its adaptation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from views import small, view_of

from metalab.inspection import BEFORE, MAX_STAGES, TaskView, probabilities_along
from metalab.metalearners import metalearners


@pytest.mark.parametrize("name", list(metalearners()))
def test_a_task_is_seen_at_every_moment(name: str) -> None:
    view = view_of(name)
    assert view.stages[0].name == BEFORE
    assert len(view.stages) >= 2
    assert view.support.tolist() == [True] * 6 + [False] * 12
    for stage in view.stages:
        assert stage.features.shape[0] == 18
        np.testing.assert_allclose(stage.probabilities.sum(1), 1, rtol=1e-5)
        assert stage.accuracy == pytest.approx(view.right(stage).mean())
    again = TaskView.from_arrays(*view.to_arrays())
    assert again.classes == view.classes
    np.testing.assert_array_equal(again.stages[-1].features, view.stages[-1].features)


def test_losses_confidence_and_mistakes_follow_from_the_probabilities() -> None:
    view = view_of()
    stage = view.stages[-1]
    truth = torch.tensor(view.labels[~view.support])
    logs = torch.tensor(stage.probabilities).log()
    assert view.loss(stage) == pytest.approx(torch.nn.functional.nll_loss(logs, truth).item(), rel=1e-5)
    assert view.confidence(stage) == pytest.approx(stage.probabilities.max(1).mean())
    mistakes = view.surest_mistakes(stage)
    assert not view.right(stage)[mistakes].any()
    assert len(mistakes) == min(10, (~view.right(stage)).sum())
    assert (np.diff(stage.probabilities.max(1)[mistakes]) <= 0).all()
    losses = [held.support_loss for held in view.stages]
    assert losses[0] is None
    assert losses[1] > losses[-1], "the inner loop descends the support loss"


def test_transductive_methods_have_no_support_loss() -> None:
    assert all(stage.support_loss is None for stage in view_of("ptmap").stages)


def test_views_of_earlier_versions_are_read() -> None:
    arrays, metadata = view_of().to_arrays()
    for stage in metadata["stages"]:
        del stage["support_loss"]
    assert TaskView.from_arrays(arrays, metadata).stages[-1].support_loss is None


def test_long_paths_are_thinned() -> None:
    view = view_of(inner_steps=60, inner_lr=1e-4)
    assert len(view.stages) == 1 + MAX_STAGES
    assert view.stages[1].name == "step 0"
    assert view.stages[-1].name == "step 60"


@pytest.mark.parametrize("name", ["protonet", "maml", "film"])
def test_probabilities_along_the_path_are_those_of_the_stages(name: str) -> None:
    learner, _, task = small(name)
    along = probabilities_along(learner, task.support, task.way, task.query.x)
    stages = view_of(name).stages[1:]
    assert list(along) == [stage.name for stage in stages]
    for stage in stages:
        np.testing.assert_allclose(along[stage.name], stage.probabilities, atol=1e-5)
