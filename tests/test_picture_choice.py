"""Choosing among ready models for pictures: what is kept from them, and who wins."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import metalab
from metalab import picture_choice
from metalab.backbones.efficientnet import EfficientNet
from metalab.bench.photo_tasks import CropSource, labelled_photos
from metalab.cli import main
from metalab.data import TARGETS
from metalab.data.annotation import Instance, Picture
from metalab.data.labelled import targets
from metalab.errors import DataError
from metalab.metalearners.base import score
from metalab.metrics import mean_iou
from metalab.own_pictures import sample_task
from metalab.picture_choice import adapt_best, candidates, choose, divisions, named, tried
from metalab.records import examples
from metalab.tasks import Examples, TaskShape, seeded


def learners(application: str) -> dict:
    return {name: one.metalearner for name, one in candidates(application).items()}


def test_pictures_are_left_out_where_their_classes_are_on_others() -> None:
    y = torch.zeros(3, 4, 4, dtype=torch.long)
    y[0, 0], y[1, 0], y[2, 0] = 1, 2, 1
    x = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, 4, 4)
    found = [
        (known.x[:, 0, 0, 0].tolist(), kept.x[:, 0, 0, 0].tolist())
        for known, kept in divisions(Examples(x, y), 2)
    ]
    assert found == [([1, 2], [0]), ([0, 1], [2])], "of class 2 there is one picture alone"
    boxes = torch.tensor([[[0.0, 1, 1, 2, 2]], [[1.0, 1, 1, 2, 2]], [[-1.0, 0, 0, 0, 0]]])
    assert [kept.x[:, 0, 0, 0].tolist() for _, kept in divisions(Examples(x, boxes), 2)] == [[2]]
    assert list(divisions(Examples(x[:2], boxes[:2]), 2)) == []


def test_a_single_picture_is_cut_in_two() -> None:
    y = torch.zeros(1, 6, 6, dtype=torch.long)
    y[0, 1:5, 2:4] = 1
    parts = list(divisions(Examples(torch.rand(1, 3, 6, 6), y), 1))
    assert len(parts) == 4
    for known, kept in parts:
        assert ((known.y == -1) ^ (kept.y == -1)).all(), "each pixel teaches or judges"
        assert (known.y == 1).sum() == (kept.y == 1).sum() == 4


def test_on_scenes_a_meta_trained_model_wins_and_on_photographs_the_plain_one() -> None:
    """Support pictures alone decide; on the query pictures the choice is right."""
    wins = []
    for number in range(4):
        task = sample_task("segmentation", number, 1, 3)
        wins.append(choose("segmentation", task.support, task.classes, 64).name.startswith("guided"))
    assert sum(wins) >= 3
    source = CropSource(labelled_photos()["petals"], "masks")
    task = next(iter(source.sample(1, "test", TaskShape(1, 1, 3), seeded("cpu", 3))))
    held = learners("segmentation")
    scores = tried(held, task.support, 1)
    assert max(scores, key=scores.__getitem__) == "pixel-lrd2-photo"
    with torch.no_grad():
        ours, theirs = (
            float(mean_iou(held[name].predict(held[name].adapt(task.support, 1), task.query.x), task.query.y))
            for name in ("pixel-lrd2-photo", "guided-masks")
        )
    assert ours > theirs + 0.3


@pytest.mark.parametrize("application", ["segmentation", "detection"])
def test_each_picture_is_looked_at_once_and_scores_stay(application: str) -> None:
    task = sample_task(application, 2, 2, 2, 1)
    held = learners(application)
    backbone = next(iter(held.values())).backbone
    support = Examples(
        examples([one.image for one in task.support], backbone),
        targets(task.support, task.classes, 64, TARGETS[application]),
    )
    seen: list[int] = []
    for learner in held.values():
        look = learner.backbone.levels
        learner.backbone.levels = lambda params, x, film=None, look=look: (
            seen.append(len(x)),
            look(params, x, film),
        )[1]
    with torch.no_grad():
        by_hand = {
            name: np.mean(
                [
                    float(score(learner.predict(learner.adapt(known, 2), kept.x), kept))
                    for known, kept in divisions(support, 2)
                ]
            )
            for name, learner in held.items()
        }
    seen.clear()
    assert tried(held, support, 2) == pytest.approx(by_hand, abs=1e-3)
    assert sum(seen) == len(task.support) * len(held)


def test_learners_on_photo_features_share_what_the_network_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    task = sample_task("segmentation", 2, 2, 2, 1)
    held, seen, maps = learners("segmentation"), [], EfficientNet.maps

    def counted(self: EfficientNet, x: torch.Tensor) -> list[torch.Tensor]:
        seen.append(len(x))
        return maps(self, x)

    monkeypatch.setattr(EfficientNet, "maps", counted)
    photo = {name: one for name, one in held.items() if isinstance(one.backbone, EfficientNet)}
    assert len(photo) == 2
    support = Examples(
        examples([one.image for one in task.support], next(iter(photo.values())).backbone),
        targets(task.support, task.classes, 64, "masks"),
    )
    tried(photo, support, 2)
    assert sum(seen) == len(task.support)


def pictures() -> list[Picture]:
    found = []
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 60, (80, 100, 3), dtype=np.uint8)
        mask = np.zeros((80, 100), bool)
        mask[20:50, 30:60] = True
        image[mask] = (250, 200, 40)
        found.append(Picture(f"{number}.png", image, [Instance("thing", (30, 20, 60, 50), mask)]))
    return found


def test_the_chosen_one_is_adapted_and_kept(tmp_path: Path) -> None:
    for application in ("segmentation", "detection"):
        model, choice = adapt_best(application, pictures())
        assert choice.scores.keys() == set(picture_choice.CANDIDATES[application])
        assert choice.scores[choice.name] == max(choice.scores.values())
        assert f"{named(choice.name)} {choice.scores[choice.name]:.0%}" in choice.reason
        assert model.classes == ["thing"]
        model.save(tmp_path / "m.safetensors")
        again = metalab.load(tmp_path / "m.safetensors").outputs([pictures()[0].image])
        torch.testing.assert_close(again, model.outputs([pictures()[0].image]))
    choice = adapt_best("detection", pictures()[:1])[1]
    assert (choice.name, choice.scores) == ("guided-boxes-photo", {})
    assert "too few" in choice.reason
    with pytest.raises(DataError, match="anything"):
        adapt_best("detection", [replace(one, instances=[]) for one in pictures()])


def test_the_command_chooses_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "own" / folder).mkdir(parents=True)
    for one in pictures():
        Image.fromarray(one.image).save(tmp_path / "own" / "images" / one.name)
        Image.fromarray(one.instances[0].mask.astype(np.uint8)).save(tmp_path / "own" / "masks" / one.name)
    given = ["--application", "segmentation", "--support", str(tmp_path / "own")]
    assert main(["adapt", *given, "--out", str(tmp_path / "m.safetensors")]) == 0
    assert (
        "mean IoU on labels that were kept from it: Guided decoder, photo features" in capsys.readouterr().out
    )
    image = str(tmp_path / "own" / "images" / "0.png")
    assert main(["predict", "--model", str(tmp_path / "m.safetensors"), image]) == 0
    assert json.loads(capsys.readouterr().out)["annotations"]
    assert main(["adapt", *given, "--out", str(tmp_path / "m"), "--model", "pixel-lrd2-photo"]) == 0
    assert "Logistic head on pixels" in capsys.readouterr().out
