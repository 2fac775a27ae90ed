"""Meta-learners of masks and boxes: shapes, invariances, gradients; every one in one sweep."""

from __future__ import annotations

import pytest
import torch

from metalab.api import create_metalearner
from metalab.backbones import Pyramid, seeded_initialisation
from metalab.data.scenes import SceneSource
from metalab.metalearners import MetaLearner, metalearners
from metalab.metalearners.base import score
from metalab.metalearners.guided import box_loss
from metalab.shipped import load_trained
from metalab.tasks import Examples, Task, TaskShape, seeded

APPLICATIONS = {"segmentation": "masks", "detection": "boxes"}
METHODS = [(application, name) for application in APPLICATIONS for name in metalearners(application)]
DENSE = pytest.mark.parametrize(("application", "name"), METHODS)


def learner(name: str) -> MetaLearner:
    with seeded_initialisation(0):
        backbone = Pyramid(width=16).eval()
    made = create_metalearner(name, backbone).double()
    with torch.no_grad():  # heads that start from nothing would hide what goes in
        for number, parameter in enumerate(made.parameters()):
            generator = torch.Generator().manual_seed(number)
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return made


def task(application: str, way: int = 2) -> Task:
    source = SceneSource(64, APPLICATIONS[application])
    one = source.sample(1, "train", TaskShape(way, 2, 1), seeded("cpu", 5))[0]
    y = one.support.y.double() if application == "detection" else one.support.y
    target = one.query.y.double() if application == "detection" else one.query.y
    return Task(Examples(one.support.x.double(), y), Examples(one.query.x.double(), target), way)


def outputs(made: MetaLearner, one: Task) -> torch.Tensor:
    return made.predict(made.adapt(one.support, one.way), one.query.x)


@pytest.mark.parametrize(
    ("application", "name"), [("segmentation", "guided-masks"), ("detection", "guided-boxes")]
)
def test_reading_without_gradients_is_the_same(application: str, name: str) -> None:
    """Seven classes of boxes pass on more values than the fused kernel takes at once."""
    made, one = learner(name), task(application, 7)
    with torch.enable_grad():
        plain = outputs(made, one)
    with torch.no_grad():
        fused = outputs(made, one)
    torch.testing.assert_close(fused, plain, rtol=1e-9, atol=1e-9)


@DENSE
def test_outputs_loss_and_gradients(application: str, name: str) -> None:
    made, one = learner(name), task(application)
    loss, found = made(one.support, one.query, one.way)
    assert found.shape == ((2, 3, 64, 64) if application == "segmentation" else (2, 2, 5, 16, 16))
    loss.backward()
    assert torch.isfinite(loss)
    assert 0 <= float(score(found.detach(), one.query)) <= 1
    grown = [p.grad for p in made.parameters() if p.requires_grad and p.grad is not None]
    assert len(grown) > 5
    assert all(torch.isfinite(g).all() for g in grown)


@DENSE
def test_order_of_support_pictures_does_not_matter(application: str, name: str) -> None:
    made, one = learner(name), task(application)
    turned = Examples(one.support.x.flip(0), one.support.y.flip(0))
    other = Task(turned, one.query, one.way)
    torch.testing.assert_close(outputs(made, other), outputs(made, one), atol=1e-8, rtol=1e-6)


@DENSE
def test_classes_change_places_with_their_labels(application: str, name: str) -> None:
    made, one = learner(name), task(application)
    y = one.support.y
    swapped = (
        torch.where(y == 1, 2, torch.where(y == 2, 1, y))
        if application == "segmentation"
        else torch.cat([torch.where(y[..., :1] >= 0, 1 - y[..., :1], -1.0), y[..., 1:]], -1)
    )
    other = outputs(made, Task(Examples(one.support.x, swapped), one.query, one.way))
    order = [0, 2, 1] if application == "segmentation" else [1, 0]
    torch.testing.assert_close(other[:, order], outputs(made, one), atol=1e-8, rtol=1e-6)


@DENSE
def test_a_query_picture_is_judged_on_its_own(application: str, name: str) -> None:
    made, one = learner(name), task(application)
    state = made.adapt(one.support, one.way)
    alone = made.predict(state, one.query.x[:1])
    torch.testing.assert_close(alone, made.predict(state, one.query.x)[:1], atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("name", ["guided-masks", "guided-boxes", "reweighting", "pixel-protonet"])
def test_other_sizes_work(name: str) -> None:
    made, one = learner(name), task("segmentation" if "masks" in name or "pixel" in name else "detection", 1)
    large = torch.nn.functional.interpolate(one.query.x, (96, 128))
    found = made.predict(made.adapt(one.support, 1), large)
    assert tuple(found.shape[-2:]) in {(96, 128), (24, 32)}


def test_anil_steps_lower_the_loss_on_pretrained_features() -> None:
    made, one = create_metalearner("anil-boxes", load_trained("guided-boxes").pretrained), task("detection")
    support = Examples(one.support.x.float(), one.support.y.float())
    losses = [
        float(box_loss(made.predict(state, support.x), support.y).detach())
        for state in made.path(support, one.way).values()
    ]
    assert len(losses) == 6
    assert losses == sorted(losses, reverse=True)
