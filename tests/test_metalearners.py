"""Meta-learners: parity with naive loops, and what must not depend on the order of things."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import CASES, learner, task

from metalab.backbones import create_backbone
from metalab.config import Config
from metalab.errors import ConfigError
from metalab.metalearners import check_options, get_metalearner, metalearners
from metalab.metalearners.base import class_means, score, task_loss
from metalab.tasks import Examples

NAMES = list(CASES)
INDUCTIVE = [case for case in NAMES if not metalearners()[CASES[case][0]].uses_other_queries]


def test_film_starts_from_the_pretrained_features_with_nearest_centroid() -> None:
    config = Config.create(image_size=16, width=8)
    film = get_metalearner("film")(create_backbone(config), check_options("film", {})).double()
    support, query = task()
    state = film.adapt(support, 3)
    assert not any(value.any() for name, value in state.items() if name[:4] in ("gamm", "beta"))
    features = film.features(state, query.x)
    torch.testing.assert_close(features, film.backbone(query.x))
    centres = class_means(film.backbone(support.x), support, 3)
    nearest = torch.cdist(features, centres).argmin(1)
    assert torch.equal(film.classify(state, features).argmax(1), nearest)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), order=st.permutations(range(6)))
def test_the_order_of_the_support_set_changes_nothing(name: str, seed: int, order: list[int]) -> None:
    made, (support, query) = learner(name), task(seed)
    shuffled = Examples(support.x[order], support.y[order])
    with torch.no_grad():
        a, b = (made.predict(made.adapt(part, 3), query.x) for part in (support, shuffled))
    torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), order=st.permutations(range(3)))
def test_renaming_the_classes_renames_the_predictions(name: str, seed: int, order: list[int]) -> None:
    made, (support, query) = learner(name), task(seed)
    names = torch.tensor(order)
    with torch.no_grad():
        plain = made.predict(made.adapt(support, 3), query.x)
        renamed = made.predict(made.adapt(Examples(support.x, names[support.y]), 3), query.x)
    torch.testing.assert_close(renamed[:, names], plain, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_padding_counts_for_nothing(name: str) -> None:
    made, (support, query) = learner(name), task()
    x = torch.cat([support.x, torch.rand(2, 1, 16, 16, dtype=torch.float64)])
    y = torch.cat([support.y, torch.tensor([0, 2])])
    padded = Examples(x, y, torch.tensor([True] * 6 + [False] * 2))
    with torch.no_grad():
        a, b = (made.predict(made.adapt(part, 3), query.x) for part in (support, padded))
    torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", INDUCTIVE)
def test_a_query_is_judged_on_its_own(name: str) -> None:
    made, (support, query) = learner(name), task()
    assert not made.transductive
    with torch.no_grad():
        state = made.adapt(support, 3)
        together = made.predict(state, query.x)
        alone = torch.cat([made.predict(state, query.x[i : i + 1]) for i in range(len(query.y))])
    torch.testing.assert_close(alone, together, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_the_path_ends_where_adaptation_ends(name: str) -> None:
    made, (support, _) = learner(name), task()
    path, state = made.path(support, 3), made.adapt(support, 3)
    last = list(path.values())[-1]
    assert last.keys() == state.keys()
    for key, value in state.items():
        torch.testing.assert_close(last[key], value)
    assert [set(step) for step in path.values()] == [set(state)] * len(path)


def test_masked_loss_and_accuracy() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    plain = Examples(torch.zeros(2, 1), torch.tensor([0, 0]))
    masked = Examples(torch.zeros(3, 1), torch.tensor([0, 0, 1]), torch.tensor([True, True, False]))
    torch.testing.assert_close(task_loss(logits, masked), task_loss(logits[:2], plain))
    assert score(logits, masked) == 0.5


def test_unknown_head_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"options\.head"):
        check_options("maml", {"head": "zero"})
