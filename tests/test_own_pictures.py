"""Tasks of pictures from scenes, files and labels: adapted, judged, and taken away."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metalab.api import create_metalearner
from metalab.backbones import create_backbone
from metalab.config import Config
from metalab.data.annotation import Instance, Picture
from metalab.errors import DataError
from metalab.own_pictures import SCRIPT, Adapted, adapt_task, divide, results_zip, sample_task

ROOT = Path(__file__).parents[1]
METHODS = {"segmentation": "pixel-protonet", "detection": "anil-boxes"}


def adapted(application: str) -> Adapted:
    learner = create_metalearner(
        METHODS[application], create_backbone(Config.create(application=application))
    )
    return adapt_task(learner, learner.backbone.frozen_copy(), sample_task(application, 3, 2, 2, 2))


@pytest.mark.parametrize("application", METHODS)
def test_a_sampled_task_is_adapted_to_and_judged(application: str, tmp_path: Path) -> None:
    found = adapted(application)
    assert (len(found.task.support), len(found.task.query)) == (4, 4)
    assert found.after.size == 64
    for model in (found.before, found.after):
        predictions, judged = found.judge(model)
        assert judged is not None
        assert 0 <= judged <= 1
        assert [one.picture.name for one in predictions] == [one.name for one in found.task.query]
        assert len(model.predict([found.task.query[0].image])) == 1
    view = found.view()
    assert view.classes == ["(background)", *found.task.classes]
    assert view.stages[-1].accuracy == pytest.approx(found.judge(found.after)[1], abs=1e-5)
    assert view.stages[0].accuracy == pytest.approx(found.judge(found.before)[1], abs=1e-5)

    # The script runs beside the saved model, in a process of its own.
    (tmp_path / "find.py").write_text(SCRIPT)
    (tmp_path / "model.safetensors").write_bytes(found.after.to_bytes())
    Image.fromarray(found.task.query[0].image).save(tmp_path / "new.png")
    run = subprocess.run(
        [sys.executable, "find.py", "new.png"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith("new.png [")
    assert json.loads((tmp_path / "results.json").read_text())["images"][0]["file_name"] == "new.png"
    assert (tmp_path / "mask-1.png").exists() == (application == "segmentation")


def test_results_in_a_zip() -> None:
    found = adapted("segmentation")
    images = [picture.image for picture in found.task.query]
    predictions = found.after.predict(images, ["../a/b.png", "c.jpg", "d.png", "e"])
    archive = zipfile.ZipFile(io.BytesIO(results_zip(predictions, found.task.classes, True)))
    assert archive.namelist()[:3] == ["results.json", "masks/001 b.png", "masks/002 c.png"]
    assert len(json.loads(archive.read("results.json"))["images"]) == 4
    with Image.open(archive.open("masks/001 b.png")) as mask:
        assert mask.size == (64, 64)
        assert int(np.asarray(mask).max()) <= 2
    boxes = zipfile.ZipFile(io.BytesIO(results_zip(predictions, found.task.classes, False)))
    assert boxes.namelist() == ["results.json"]


def test_pictures_are_divided_into_support_and_query() -> None:
    def shows(name: str, *labels: str) -> Picture:
        return Picture(name, np.zeros((8, 8, 3), np.uint8), [Instance(one, (0, 0, 4, 4)) for one in labels])

    pictures = [shows("1", "a"), shows("2", "a", "b"), shows("3", "b"), shows("4", "a"), shows("5", "c")]
    for seed in range(5):
        task = divide(pictures, ["a", "b"], 1, seed)
        names = {one.name for one in task.support} | {one.name for one in task.query}
        assert names == {"1", "2", "3", "4"}, "each once, and none without a chosen class"
        for name in ("a", "b"):
            assert any(one.label == name for picture in task.support for one in picture.instances)
        assert task == divide(pictures, ["a", "b"], 1, seed)
    with pytest.raises(DataError, match="none is left to judge by"):
        divide(pictures, ["a", "b"], 9)
    with pytest.raises(DataError, match="no class is chosen"):
        divide(pictures, [], 1)
