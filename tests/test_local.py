"""Weights that torchvision or timm left on this machine: found, read as tensors alone, carried along."""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import metalab
from metalab.adaptation import adapt
from metalab.backbones import Local, describe
from metalab.backbones.local import local_backbone, local_weights
from metalab.choice import ready
from metalab.cli import main
from metalab.errors import CheckpointError
from metalab.own import sample_photos
from metalab.threads import spread

HELD = sample_photos(4)


class Tiny(nn.Module):
    """A stand-in for a library's network, of the same make: a trunk, a norm, a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 24, 8, 8)
        self.norm = nn.BatchNorm2d(24)
        self.head = nn.Sequential(nn.Dropout(), nn.Linear(96, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(nn.functional.adaptive_avg_pool2d(self.norm(self.conv(x)).relu(), 2).flatten(1))


@dataclass
class Weights:
    url: str


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """Stand-ins for both libraries, with one trained network of each on this machine."""
    ready.cache_clear()

    def make(name: str, weights: None = None, pretrained: bool = False) -> nn.Module:
        assert weights is None
        assert not pretrained, "nothing may be downloaded"
        return {"tiny": Tiny, "tiny.in1k": Tiny, "headless": lambda: nn.Conv2d(3, 4, 1)}[name]()

    vision, timm = ModuleType("torchvision"), ModuleType("timm")
    vision.models = SimpleNamespace(
        list_models=lambda module: ["tiny", "headless", "other"],
        get_model_weights=lambda name: [Weights(f"https://models.example/{name}-1234.pth?x=1")],
        get_model=make,
    )
    timm.create_model = make
    for module in (vision, timm):
        module.__spec__ = SimpleNamespace(name=module.__name__)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    network = Tiny()
    network.norm.running_mean.normal_()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(network.state_dict(), tmp_path / "hub" / "checkpoints" / "tiny-1234.pth")
    torch.save({}, tmp_path / "hub" / "checkpoints" / "headless-1234.pth")
    snapshot = tmp_path / "hf" / "models--timm--tiny.in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "pytorch_model.bin").write_bytes(b"the other file counts")
    save_file(network.state_dict(), snapshot / "model.safetensors")
    return network.eval()


@pytest.mark.parametrize("name", ["tiny", "timm/tiny.in1k"])
def test_features_are_those_of_the_network(trained: Tiny, name: str) -> None:
    assert name in local_weights()
    backbone = local_backbone(f"local:{name}")
    x = torch.rand(3, 3, 224, 224)
    trained.head = nn.Identity()
    with torch.no_grad():
        theirs = trained(backbone.standardise(x))
    torch.testing.assert_close(backbone.embed(x), theirs)
    records = backbone.record(x)
    assert records.shape == (3, 96 + 3072)
    torch.testing.assert_close(backbone(records), backbone(x))
    assert set(backbone.params()) == {"down_weight", "down_bias", "up_weight"}, "the network stays frozen"
    assert describe(backbone)["network"] == name
    torch.testing.assert_close(backbone.fresh(1).embed(x), theirs)


def test_threads_do_not_meet(trained: Tiny) -> None:
    backbone, x = local_backbone("local:tiny"), torch.rand(60, 3, 224, 224)
    parts = spread(backbone.record, x.split(1))
    torch.testing.assert_close(torch.cat(parts), backbone.record(x))


def test_adapt_save_load_and_explain(trained: Tiny, tmp_path: Path) -> None:
    model = adapt(ready("local:tiny"), HELD.images, HELD.labels)
    model.save(tmp_path / "m.safetensors")
    for path in (tmp_path / "hub").rglob("*.pth"):
        path.unlink()  # the model has the weights with it
    again = metalab.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict_proba(HELD.images), model.predict_proba(HELD.images))
    assert np.mean([a == b for a, b in zip(model.predict(HELD.images), HELD.labels, strict=True)]) > 0.5
    assert again.explain(HELD.images[0], 1).heatmap.shape == (8, 8)
    grown = again.add_class("new", HELD.images[:2])
    assert grown.classes[-1] == "new"


def test_onnx_agrees(trained: Tiny, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = adapt(ready("local:tiny"), HELD.images[:8], HELD.labels[:8])
    model.export(tmp_path / "m.onnx")
    session = runtime.InferenceSession(tmp_path / "m.onnx")
    (theirs,) = session.run(None, {"image": HELD.images[0][None]})
    np.testing.assert_allclose(theirs, model.predict_proba([HELD.images[0]]), atol=1e-4)


def test_on_the_command_line(trained: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "photos.npz", tmp_path / "m.safetensors"
    np.savez(data, X=np.stack([image[:90, :90] for image in HELD.images[:8]]), y=HELD.labels[:8])
    common = ["--support", str(data), "--out", str(out)]
    assert main(["adapt", "--model", "local:tiny", *common]) == 0
    assert "2 classes from 8 images" in capsys.readouterr().out
    for name in ("local:", "local:resnet18"):
        assert main(["adapt", "--model", name, *common]) == 2
        assert "There are: local:headless, local:timm/tiny.in1k, local:tiny" in capsys.readouterr().err


def test_on_the_page(trained: Tiny) -> None:
    from streamlit import cache_data
    from test_pages import page

    cache_data.clear()
    app = page("yours")
    app.button_group(key="own-how").set_value("Sample photos").run()
    app.selectbox(key="own-model").set_value("local:tiny").run()
    assert not app.exception
    assert not app.error
    assert any("(as asked)" in caption.value for caption in app.caption)
    app.toggle(key="own-baselines").set_value(True).run()
    assert not app.exception
    cache_data.clear()


class Evil:
    def __reduce__(self) -> Any:
        return open, ("unpickled", "w")


def test_what_cannot_be_used_is_said(trained: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hub" / "checkpoints" / "tiny-1234.pth"
    for content in (pickle.dumps(Evil()), b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"tiny-1234\.pth: these are no weights of 'tiny'"):
            local_backbone("local:tiny")
    assert not (tmp_path / "unpickled").exists()
    torch.save({"conv.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="no weights of 'tiny'"):
        local_backbone("local:tiny")
    with pytest.raises(CheckpointError, match="no image network with a linear head"):
        local_backbone("local:headless")
    for name in ("timm/hf-hub:evil/x", "timm/local-dir:x", "other/x"):
        with pytest.raises(CheckpointError):
            Local(network=name)


def test_without_the_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert local_weights() == {}
    with pytest.raises(CheckpointError, match="There are: none"):
        local_backbone("local:resnet18")
    with pytest.raises(CheckpointError, match="pip install torchvision"):
        Local(network="resnet18")
