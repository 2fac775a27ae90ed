"""What adaptation changes: numbers that agree with the states, words that agree with the numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from views import small

from metalab.changes import changes, percent
from metalab.metalearners import metalearners

UNCHANGED = "changes nothing in the backbone"


@pytest.mark.parametrize("name", list(metalearners()))
def test_every_method_says_what_it_changed(name: str) -> None:
    learner, backbone, task = small(name)
    found = changes(learner, backbone, task.support, task.way)
    assert found.stages == list(learner.path(task.support, task.way))
    assert found.moved.shape == (len(found.stages), len(found.layers))
    state = learner.adapt(task.support, task.way)
    moves = any(key in state for key in learner.backbone.params())
    assert (UNCHANGED in found.sentence) == (not moves and not found.film)
    assert (found.backbone_layers > 0) == moves
    assert list(found.meta_trained) == list(backbone.params())
    if found.head is not None:
        assert found.head.shape[0] == task.way


def test_distances_are_relative_to_the_start() -> None:
    learner, backbone, task = small("maml", inner_steps=2, inner_lr=0.1)
    found = changes(learner, backbone, task.support, task.way)
    with torch.no_grad():
        start, _, end = learner.path(task.support, task.way).values()
    expected = (end["conv1"] - start["conv1"]).norm() / start["conv1"].norm()
    assert found.moved[2, found.layers.index("conv1")] == pytest.approx(expected.item())
    assert not np.nan_to_num(found.moved[0]).any()
    assert found.moved[2, 0] > found.moved[1, 0] > 0


def test_a_step_that_changes_nothing_is_told_so() -> None:
    learner, backbone, task = small("maml", inner_steps=1, inner_lr=1e-7)
    assert "changed practically nothing" in changes(learner, backbone, task.support, task.way).sentence
    assert [percent(share) for share in (0.0, 3.5e-8, 0.0002, 0.5)] == ["0 %", "< 0.01 %", "0.02 %", "50 %"]


def test_anil_moves_the_head_alone_and_boil_all_but_it() -> None:
    learner, backbone, task = small("anil")
    anil = changes(learner, backbone, task.support, task.way)
    assert anil.layers == ["head.weight", "head.bias"]
    assert anil.moved[-1, 0] > 0
    learner, backbone, task = small("boil")
    boil = changes(learner, backbone, task.support, task.way)
    heads = [boil.layers.index(name) for name in ("head.weight", "head.bias")]
    assert not boil.moved[:, heads].any()
    assert boil.moved[-1, : boil.backbone_layers].any()


def test_learnt_rates_are_told_and_fixed_ones_not() -> None:
    rates = {}
    for name in ("maml", "metasgd", "mamlpp"):
        learner, backbone, task = small(name)
        if name == "mamlpp":
            with torch.no_grad():
                learner.rates["conv0"].copy_(torch.tensor([0.1, 0.2, 0.3]))
        rates[name] = changes(learner, backbone, task.support, task.way).rates
    assert rates["maml"] == {}
    assert rates["metasgd"]["conv0"].tolist() == [pytest.approx([0.003] * 3)]
    assert rates["mamlpp"]["conv0"][:, 0].tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_film_coefficients_are_those_of_the_state() -> None:
    learner, backbone, task = small("film")
    with torch.no_grad():
        for generator in learner.film:
            generator[-1].bias.fill_(0.5)
    found = changes(learner, backbone, task.support, task.way)
    assert len(found.film) == 4
    for gamma, beta in found.film:
        np.testing.assert_allclose(gamma, 0.5, atol=1e-6)
        np.testing.assert_allclose(beta, 0.5, atol=1e-6)
    assert "FiLM" in found.sentence
    assert "+0.50" in found.sentence
