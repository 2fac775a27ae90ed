"""Several prototypes a class: which examples share one, and what they tell apart that one cannot."""

from __future__ import annotations

import torch
from torch import nn

from metalab.api import create_metalearner
from metalab.backbones import Pyramid, seeded_initialisation
from metalab.data.scenes import SceneSource
from metalab.metalearners.parts import Parts, assigned
from metalab.tasks import Examples, TaskShape, seeded

HEAPS = torch.tensor([[-1.0, 0], [1, 0], [0, 1.5], [0, 0.2]])
"""Three of class 0 with class 1 about where their mean is."""


def heaps(each: int = 20) -> Examples:
    x = HEAPS.repeat_interleave(each, 0) + 0.05 * torch.randn(4 * each, 2, generator=seeded("cpu", 1))
    return Examples(x, torch.tensor([0, 0, 0, 1]).repeat_interleave(each))


def learner(parts: int) -> Parts:
    return Parts(nn.Identity(), Parts.Options(parts=parts))


def test_a_heap_is_a_part() -> None:
    support = heaps()
    part = assigned(support.x, support, 2, 3).view(4, 20)[:3]
    assert (part == part[:, :1]).all()
    assert part[:, 0].unique().numel() == 3
    prototypes = learner(3).adapt(support, 2)["prototypes"]
    torch.testing.assert_close(prototypes[0][part[:, 0]], support.x.view(4, 20, 2)[:3].mean(1))


def test_parts_tell_what_one_mean_cannot() -> None:
    support, query = heaps(), heaps()
    right = {}
    for parts in (1, 3):
        made = learner(parts)
        found = made.predict(made.adapt(support, 2), query.x).argmax(1)
        right[parts] = float((found == query.y).float().mean())
    assert right[3] == 1
    assert right[1] < 0.9


def test_what_does_not_count_makes_no_part() -> None:
    support = heaps()
    far = Examples(
        torch.cat([support.x, torch.full((5, 2), 90.0)]),
        torch.cat([support.y, torch.zeros(5, dtype=torch.long)]),
        torch.cat([torch.ones(80), torch.zeros(5)]),
    )
    made = learner(3)
    torch.testing.assert_close(made.adapt(far, 2), made.adapt(support, 2))


def test_few_examples_and_none() -> None:
    x = torch.tensor([[1.0, 2], [3, 4], [5, 6]])
    support = Examples(x, torch.tensor([0, 0, 1]))
    prototypes = learner(4).adapt(support, 3)["prototypes"]
    assert {tuple(row) for row in prototypes[0].tolist()} == {(1, 2), (3, 4), (2, 3)}, "the rest: the whole"
    assert (prototypes[1] == x[2]).all()
    assert (prototypes[2] == 0).all(), "as ProtoNet's"


def test_one_part_is_protonet() -> None:
    with seeded_initialisation(0):
        backbone = Pyramid(width=16).eval()
    one = SceneSource(64, "masks").sample(1, "train", TaskShape(2, 2, 1), seeded("cpu", 5))[0]
    made = [
        create_metalearner("pixel-parts", backbone, parts=1),
        create_metalearner("pixel-protonet", backbone),
    ]
    parts, whole = (each.predict(each.adapt(one.support, 2), one.query.x) for each in made)
    torch.testing.assert_close(parts, whole)
