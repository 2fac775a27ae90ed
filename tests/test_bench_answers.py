"""The table of questions: scores of the same outputs, gains over baselines, kinds apart, models kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from metalab.bench import answers
from metalab.bench.held_out import trained
from metalab.cli import main
from metalab.config import Config
from metalab.data.story_source import StorySource
from metalab.errors import CheckpointError
from metalab.evaluation import TEST_SEED, mean_interval
from metalab.own_answers import held_out_kinds, sample_task
from metalab.shipped import load_trained
from metalab.spans import answer_scores
from metalab.tasks import TaskShape, task_list

TASKS = 12
COMMAND = ["bench", "answers", "--source", "stories", "--shots", "1", "--tasks", str(TASKS), "--steps", "0"]
QUICK = ["--slow-tasks", "2"]
FIRST = "guided-spans, of documentation"


def test_scores_are_of_the_same_tasks_and_kinds_are_told_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "FEWEST", 2)
    learner, by_hand, kinds = load_trained("guided-spans").metalearner, [], []
    source = StorySource(192)
    for batch in task_list(source, TASKS, "test", TaskShape(1, 1, 5), TEST_SEED):
        for one in batch:
            with torch.no_grad():
                outputs = learner.predict(learner.adapt(one.support, 1), one.query.x)
            by_hand.append(list(answer_scores(outputs, one.query).values()))
            kinds.append(source.class_name(int(one.classes[0])))
    assert main([*COMMAND, *QUICK, "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    row = next(row for row in table["rows"] if row["method"] == FIRST)
    expected = [mean_interval(held) for held in np.array(by_hand).T]
    assert table["metric"] == "token F1"
    np.testing.assert_allclose([row["accuracy"], row["interval"]], expected[0], rtol=1e-5)
    np.testing.assert_allclose(table["further"]["exact match"][FIRST], expected[1], rtol=1e-5)
    same = table["further"]["same words"]
    np.testing.assert_allclose(same[FIRST], expected[2], rtol=1e-5)
    assert same[FIRST][0] > expected[1][0], "names of stories stand in several places"
    tasks = {row["method"]: row["tasks"] for row in table["rows"]}
    assert tasks["from-scratch"] == tasks["fine-tuned"] == 2, "slow"
    assert tasks["patterns"] == TASKS
    often = {kind for kind in kinds if kinds.count(kind) >= 2}
    assert set(table["kinds"]) == often
    for kind in often:
        own = np.mean([held[0] for held, name in zip(by_hand, kinds, strict=True) if name == kind])
        assert table["kinds"][kind][FIRST][0] == pytest.approx(own, rel=1e-5)
        assert "from-scratch" not in table["kinds"][kind], "it did not see all of them"


def test_the_table_is_read_by_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, *QUICK]) == 0
    title, columns, *lines = capsys.readouterr().out.splitlines()
    assert title == "question-answering, stories, 1-shot, in %"
    assert columns.split("  ")[-1] == "tasks"
    assert "to best baseline" in columns
    guided = next(line for line in lines if line.strip().startswith("Guided pointer"))
    assert guided.count("±") == 4
    scratch = next(line for line in lines if line.strip().startswith("From scratch"))
    assert scratch.count("±") == 3


def test_answers_to_be_read_are_of_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "answers", "--source", "stories", "--shots", "2", "--show", "1"]) == 0
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    kinds = held_out_kinds("stories")
    assert [line[0] for line in lines] == [name for name in kinds.values() for _ in range(answers.SHOWN)]
    first = sample_task(0, 2, answers.SHOWN, next(iter(kinds)), source="stories").query[0]
    assert lines[0][1:3] == [first.question.split()[1], repr(first.answer)]
    for *_, answer, found, score in lines:
        if found.rpartition(" ")[0] != answer:
            assert float(score) < 1


def test_what_is_trained_is_kept_and_not_mistaken(tmp_path: Path) -> None:
    source, first = StorySource(144), load_trained("guided-spans")
    config = Config.create(
        application="question-answering",
        metalearner="token-r2d2",
        source="stories",
        steps=1,
        validation_tasks=2,
        image_size=144,
    )
    one = trained(config, first.pretrained, source, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["token-r2d2.safetensors"]
    again = trained(config, first.pretrained, source, tmp_path)
    for name, tensor in one.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    with pytest.raises(CheckpointError, match="another configuration"):
        trained(config.replace(steps=2), first.pretrained, source, tmp_path)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--only", "token-film", "nosuch"], "--only: unknown: nosuch"),
        (["--slow", "nosuch"], "--slow: unknown: nosuch"),
        (["--slow-tasks", "1"], "at least two tasks"),
        (["--shots", "0"], "--shots"),
        (["--source", "documentation", "--shots", "500"], "are needed"),
    ],
)
def test_bad_flags_are_refused_before_training(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*COMMAND, *flags]) == 2
    assert said in capsys.readouterr().err
