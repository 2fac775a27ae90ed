"""Figures of one task's adaptation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from views import small, view_of

from metalab import plots_adapt
from metalab.changes import changes
from metalab.embeddings import embed
from metalab.inspection import TaskView


@pytest.fixture(scope="module")
def view() -> TaskView:
    return view_of()


def test_confusion_counts_every_query_example_once(view: TaskView) -> None:
    z = np.array(plots_adapt.confusion(view).data[0].z)
    assert z.sum() == 12
    assert np.trace(z) == view.right(view.stages[-1]).sum()


@pytest.mark.parametrize("name", ["maml", "protonet", "ptmap"])
def test_one_slider_moves_curves_and_features(name: str) -> None:
    view = view_of(name)
    figure = plots_adapt.step_by_step(view, embed(view.features, "pca"))
    assert [frame.name for frame in figure.frames] == [stage.name for stage in view.stages]
    assert len(figure.layout.sliders[0].steps) == len(view.stages)
    for frame in figure.frames:
        assert len(frame.traces) == len(frame.data)
        for number, trace in zip(frame.traces, frame.data, strict=True):
            assert len(figure.data[number].x) == len(trace.x)
    named = {trace.name: trace for trace in figure.data}
    assert list(named["query accuracy"].y) == [stage.accuracy for stage in view.stages]
    assert ("support loss" in named) == (name != "ptmap")


def test_chances_of_one_example() -> None:
    figure = plots_adapt.chances({"start": np.array([0.5, 0.5]), "end": np.array([0.1, 0.9])}, ["a", "<b>"])
    assert [list(bar.y) for bar in figure.data] == [[0.5, 0.1], [0.5, 0.9]]
    assert figure.data[1].name == "&lt;b&gt;"


@pytest.mark.parametrize("name", ["maml", "mamlpp", "metasgd", "film", "r2d2", "boil"])
def test_what_changed_is_drawn(name: str) -> None:
    learner, backbone, task = small(name)
    if name == "mamlpp":
        with torch.no_grad():
            learner.rates["conv0"].copy_(torch.tensor([0.1, 0.2, 0.3]))
    found = changes(learner, backbone, task.support, task.way)
    classes = ["a", "b", "c"]
    assert len(plots_adapt.head_weights(found, classes).data) == 2
    assert list(plots_adapt.meta_trained(found).data[0].y) == list(backbone.params())
    if found.layers:
        heat = plots_adapt.moved_weights(found).data[0]
        assert np.array(heat.z).shape == (len(found.layers), len(found.stages) - 1)
        assert heat.zmin == -2, "below 0.01 % everything is light"
        assert heat.zmax >= 0
    if found.film:
        assert [np.array(heat.z).shape for heat in plots_adapt.film_coefficients(found).data] == 2 * [(4, 8)]
    if found.rates:
        rates = plots_adapt.learnt_rates(found).data[0]
        assert rates.type == ("heatmap" if name == "mamlpp" else "scatter")
