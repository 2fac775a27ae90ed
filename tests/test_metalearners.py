"""Meta-learners: parity with naive loops, and what must not depend on the order of things."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metalab.backbones import create_backbone
from metalab.config import Config
from metalab.errors import ConfigError
from metalab.metalearners import MetaLearner, check_options, get_metalearner, metalearners
from metalab.metalearners.base import class_means, score, task_loss
from metalab.tasks import Examples

CASES = {name: (name, {}) for name in metalearners()} | {
    "maml, shared head": ("maml", {"head": "shared"}),
    "matching, full context": ("matching", {"full_context": True}),
}
NAMES = list(CASES)
INDUCTIVE = [case for case in NAMES if not metalearners()[CASES[case][0]].uses_other_queries]


def learner(name: str, seed: int = 0, **options: object) -> MetaLearner:
    name, given = CASES.get(name, (name, {}))
    options = given | options
    config = Config.create(image_size=16, width=8, seed=seed)
    backbone = create_backbone(config).double()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for buffer_name, buffer in backbone.named_buffers():
            if buffer_name.endswith("_var"):
                buffer.uniform_(0.5, 1.5)
            elif buffer_name.endswith("_mean"):
                buffer.normal_(std=0.1)
        made = get_metalearner(name)(backbone, check_options(name, options)).double()
        for parameter in made.parameters():  # away from initial values that would hide a mistake
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def task(seed: int = 0, way: int = 3, shot: int = 2, query: int = 4) -> tuple[Examples, Examples]:
    generator = torch.Generator().manual_seed(seed)

    def examples(each: int) -> Examples:
        x = torch.rand(way * each, 1, 16, 16, generator=generator, dtype=torch.float64)
        return Examples(x, torch.arange(way).repeat_interleave(each))

    return examples(shot), examples(query)


def naive_features(params: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
    """Conv4 in evaluation mode, written with the library's own batch norm."""
    h = (x - buffers["input_mean"].view(1, -1, 1, 1)) / buffers["input_std"].view(1, -1, 1, 1)
    for i in range(4):
        h = F.conv2d(h, params[f"conv{i}"], padding=1)
        mean, var = buffers[f"norm{i}_mean"], buffers[f"norm{i}_var"]
        h = F.batch_norm(h, mean, var, params[f"norm{i}_weight"], params[f"norm{i}_bias"], training=False)
        h = F.max_pool2d(F.relu(h), 2)
    return h.flatten(1)


@pytest.mark.parametrize("head", ["prototypes", "shared"])
@pytest.mark.parametrize("first_order", [False, True])
def test_maml_equals_a_naive_loop(head: str, first_order: bool) -> None:
    """Algorithm 2 of Finn et al. 2017 with plain autograd: loss and outer gradients to 1e-10."""
    steps, rate, way = 3, 0.1, 3
    maml = learner("maml", head=head, first_order=first_order, inner_steps=steps, inner_lr=rate)
    support, query = task()
    meta = dict(maml.named_parameters())
    buffers = dict(maml.backbone.named_buffers())
    fast = {n.removeprefix("backbone."): p for n, p in meta.items() if n.startswith("backbone.")}
    if head == "shared":
        weight = torch.stack([meta["head_weight"]] * way)
        bias = torch.stack([meta["head_bias"]] * way)
    else:
        features = naive_features(fast, buffers, support.x)
        centres = torch.stack([features[support.y == k].mean(0) for k in range(way)])
        scale = meta["log_temperature"].exp() / features.shape[1]
        weight, bias = 2 * scale * centres, -scale * (centres**2).sum(1)
    # Clones: the inner gradient of the backbone leaves out the way through the head's start.
    fast = {**{name: p.clone() for name, p in fast.items()}, "weight": weight, "bias": bias}
    for _ in range(steps):
        logits = naive_features(fast, buffers, support.x) @ fast["weight"].t() + fast["bias"]
        loss = F.cross_entropy(logits, support.y)
        gradients = torch.autograd.grad(loss, list(fast.values()), create_graph=not first_order)
        fast = {name: p - rate * g for (name, p), g in zip(fast.items(), gradients, strict=True)}
    logits = naive_features(fast, buffers, query.x) @ fast["weight"].t() + fast["bias"]
    expected = F.cross_entropy(logits, query.y)

    loss, own = maml(support, query, way)
    torch.testing.assert_close(own, logits, rtol=1e-10, atol=1e-10)
    parameters = list(meta.values())
    ours = torch.autograd.grad(loss, parameters)
    theirs = torch.autograd.grad(expected, parameters)
    for name, a, b in zip(meta, ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10, msg=name)


def test_second_order_differs_from_first_order() -> None:
    support, query = task()
    gradients = []
    for first_order in (False, True):
        maml = learner("maml", first_order=first_order)
        gradients.append(torch.autograd.grad(maml(support, query, 3)[0], maml.backbone.conv0)[0])
    assert (gradients[0] - gradients[1]).abs().max() > 1e-6


def test_protonet_is_equation_2() -> None:
    protonet, (support, query) = learner("protonet"), task()
    features, asked = protonet.backbone(support.x), protonet.backbone(query.x)
    centres = torch.stack([features[support.y == k].mean(0) for k in range(3)])
    distances = torch.cdist(asked, centres) ** 2
    expected = F.softmax(-distances * protonet.log_temperature.exp() / features.shape[1], dim=1)
    own = F.softmax(protonet.predict(protonet.adapt(support, 3), query.x), dim=1)
    torch.testing.assert_close(own, expected, rtol=1e-9, atol=1e-12)


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
