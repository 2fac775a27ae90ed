"""What comes with metalab: it loads, says how it was made, and is as good as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from metalab.baselines import BASELINES
from metalab.checkpoints import SHIPPED
from metalab.config import RECOMMENDERS, WRITERS
from metalab.data import create_source
from metalab.errors import CheckpointError, RunError
from metalab.evaluation import evaluate
from metalab.shipped import RECIPES, load_trained, recipe, shipped, shipped_evaluation
from metalab.tasks import TaskShape

OTHERS = {"segmentation": 0.7, "detection": 0.85, "question-answering": 0.5}
"""Mean IoU, AP50 and token F1 that the shipped models reach at least, 1-way 5-shot."""


MORE = (*OTHERS, *RECOMMENDERS, *WRITERS, "speech-recognition")


def test_every_metalearner_is_shipped_with_its_evaluation() -> None:
    found, table = shipped(), shipped_evaluation()
    others = {name: one for of in MORE for name, one in shipped(of).items()}
    assert {*found, *others} == set(RECIPES)
    for name, model in others.items():
        made = model.config.replace(test_tasks=200)
        assert made == recipe(name).replace(test_tasks=200), "made by the recipe that is written down"
    for name, model in found.items():
        assert model.config == recipe(name), "made by the recipe that is written down"
        assert model.seconds <= 300, "five minutes of meta-training"
    assert table is not None
    assert [row["method"] for row in table["rows"][: len(found)]] == list(found)
    assert {row["tasks"] for row in table["rows"]} == {600}
    assert len(table["rows"]) == len(found) + len(BASELINES)


def test_weights_are_small_enough_to_ship() -> None:
    sizes = [file.stat().st_size for file in SHIPPED.iterdir()]
    assert max(sizes) < 6e6
    assert sum(sizes) < 50e6


@pytest.mark.parametrize(("application", "least"), OTHERS.items())
def test_shipped_models_of_other_applications_learn_new_tasks(application: str, least: float) -> None:
    """A few of the tasks of the README's table."""
    trained = load_trained(next(iter(shipped(application))))
    source, shape = create_source(trained.config), TaskShape(1, 5, 5)
    *_, table = evaluate(trained.metalearner, trained.pretrained, source, shape, 24, baselines=False)
    assert table.rows[0].accuracy > least


@pytest.mark.parametrize("name", list(shipped()))
def test_shipped_models_are_as_good_as_they_say(name: str) -> None:
    """64 of the 600 tasks; the whole table is the README's command."""
    trained, claims = load_trained(name), {row["method"]: row for row in shipped_evaluation()["rows"]}
    source = create_source(trained.config)
    *_, table = evaluate(
        trained.metalearner, trained.pretrained, source, TaskShape(5, 1, 15), 64, baselines=False
    )
    row = table.rows[0]
    assert abs(row.accuracy - claims[name]["accuracy"]) < 2 * row.interval


def test_unknown_and_unfinished_models() -> None:
    with pytest.raises(RunError, match="neither a shipped model nor a run"):
        load_trained("nothing")


def test_a_damaged_checkpoint_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (SHIPPED / "protonet.safetensors").read_bytes()
    (tmp_path / "protonet.safetensors").write_bytes(content[: len(content) // 2])
    monkeypatch.setattr("metalab.shipped.SHIPPED", tmp_path)
    with pytest.raises(CheckpointError, match="damaged"):
        load_trained("protonet")
