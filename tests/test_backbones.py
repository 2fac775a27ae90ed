"""Backbones: shapes, normalisations, FiLM, and purity."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from metalab.backbones import BACKBONES, Backbone, build, create_backbone, describe
from metalab.config import Config

OTHERS = {"mlp", "photo", "pyramid", "photo-pyramid", "reader", "local", "translator", "summariser"}
IMAGES = [family for family in BACKBONES if family not in OTHERS | {"products", "adverts"}]
"""Those of images, and of pictures of words; the others have tests of their own."""


def backbone(family: str = "conv4", **changes: object) -> Backbone:
    of = {"application": "speech-recognition"} if family == "listener" else {}
    settings = {**of, "backbone": family, "width": 8, "image_size": 32, **changes}
    return create_backbone(Config.create(**settings))


@pytest.mark.parametrize("family", IMAGES)
@pytest.mark.parametrize("normalisation", ["running", "group", "batch"])
def test_shapes_and_description(family: str, normalisation: str) -> None:
    made = backbone(family, normalisation=normalisation).eval()
    features = made(torch.rand(3, 1, 32, 32))
    assert features.shape == (3, made.feature_dim)
    again = build(describe(made))
    again.load_state_dict(made.state_dict())
    torch.testing.assert_close(again.eval()(torch.zeros(2, 1, 32, 32)), made(torch.zeros(2, 1, 32, 32)))


@pytest.mark.parametrize("family", IMAGES)
def test_zero_film_changes_nothing_and_other_film_does(family: str) -> None:
    made, x = backbone(family).eval(), torch.rand(3, 1, 32, 32)
    zero = [(torch.zeros(c), torch.zeros(c)) for c in made.film_channels]
    torch.testing.assert_close(made.extract(made.params(), x, zero), made(x))
    other = [(torch.ones(c), torch.zeros(c)) for c in made.film_channels]
    assert (made.extract(made.params(), x, other) - made(x)).abs().max() > 1e-4


@pytest.mark.parametrize("normalisation", ["running", "group"])
def test_inductive_norms_see_one_image_at_a_time(normalisation: str) -> None:
    made, x = backbone(normalisation=normalisation).eval(), torch.rand(4, 1, 32, 32)
    torch.testing.assert_close(made(x)[:1], made(x[:1]), rtol=1e-4, atol=1e-5)
    assert not made.transductive


def test_batch_norm_is_transductive_and_says_so() -> None:
    made, x = backbone(normalisation="batch").eval(), torch.rand(4, 1, 32, 32)
    assert (made(x)[:1] - made(x[:1])).abs().max() > 1e-3
    assert made.transductive


def test_running_statistics_are_those_of_batch_norm() -> None:
    made = backbone().train()
    x = torch.rand(16, 1, 32, 32)
    h = F.conv2d(made.standardise(x), made.conv0, padding=1)
    made(x)
    torch.testing.assert_close(made.norm0_mean, 0.1 * h.mean((0, 2, 3)))
    torch.testing.assert_close(made.norm0_var, 0.9 + 0.1 * h.var((0, 2, 3)))
    before = made.norm0_mean.clone()
    made.eval()(x)
    assert torch.equal(made.norm0_mean, before), "a prediction measures nothing"


def test_group_norm_is_the_library_s() -> None:
    made, h = backbone(normalisation="group"), torch.randn(3, 8, 5, 5)
    expected = F.group_norm(h, 8, made.norm0_weight, made.norm0_bias)
    torch.testing.assert_close(made._norm(made.params(), "norm0", h), expected, rtol=1e-4, atol=1e-5)


def test_the_seed_fixes_the_start_and_no_global_seed_is_touched() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    a, b, c = backbone(seed=1), backbone(seed=1), backbone(seed=2)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(a.conv0, b.conv0)
    assert not torch.equal(a.conv0, c.conv0)


def plain_conv4(
    made: Backbone, x: torch.Tensor, film: list[tuple[torch.Tensor, torch.Tensor]]
) -> torch.Tensor:
    """Conv4 in the usual order, with the library's own norms: convolution, norm, FiLM, ReLU, pooling."""
    h, params = x, made.params()
    for block, (gamma, beta) in enumerate(film):
        h = F.conv2d(h, params[f"conv{block}"], padding=1)
        weight, bias = params[f"norm{block}_weight"], params[f"norm{block}_bias"]
        if made.normalisation == "group":
            h = F.group_norm(h, 8, weight, bias)
        else:
            mean, var = (getattr(made, f"norm{block}_{part}", None) for part in ("mean", "var"))
            measured = made.training or made.normalisation == "batch"
            h = F.batch_norm(h, mean, var, weight, bias, training=measured, momentum=made.momentum)
        h = F.max_pool2d(F.relu(h * (1 + gamma)[:, None, None] + beta[:, None, None]), 2)
    return h.flatten(1)


@pytest.mark.parametrize("normalisation", ["running", "group", "batch"])
@pytest.mark.parametrize("training", [False, True])
def test_pooling_first_changes_nothing(normalisation: str, training: bool) -> None:
    """Values, gradients of everything, second derivatives and measured statistics, scales of both signs."""
    torch.manual_seed(0)
    made = backbone(normalisation=normalisation, width=16).double().train(training)
    film = [(torch.randn(16).double(), torch.randn(16).double()) for _ in range(4)]
    for pair in film:
        for part in pair:
            part.requires_grad_()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.startswith("norm"):
                parameter.normal_()
    other, x = copy.deepcopy(made), torch.rand(3, 1, 32, 32).double()
    results = []
    for module, features in (
        (made, made.extract(made.params(), x, film)),
        (other, plain_conv4(other, x, film)),
    ):
        wanted = [*module.parameters(), *(part for pair in film for part in pair)]
        first = torch.autograd.grad(features.square().mean(), wanted, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), wanted)
        results.append([features, *first, *second, *module.buffers()])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)
