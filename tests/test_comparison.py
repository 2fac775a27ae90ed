"""Leaderboards of equal tasks, paired differences, plain verdicts, and what differs between two runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metalab.comparison import (
    Entry,
    boards,
    config_difference,
    entries,
    models,
    own_first,
    plain_verdict,
    ranked,
    run_difference,
    tasks_of,
)
from metalab.config import Config
from metalab.evaluation import Measured, mean_interval, tabulate
from metalab.runs import Run, RunStore
from metalab.shipped import shipped
from metalab.tasks import TaskShape

ENTRY = Entry(
    "r:protonet", "ProtoNet", "mine", "metalearner", 0.9, 0.01, 600, gain=0.062, gain_interval=0.008,
    baseline="Frozen features",
)  # fmt: skip


def evaluated(store: RunStore, shift: float, seed: int = 0, **settings: object) -> Run:
    """Return a run with a made-up evaluation, ``shift`` better than the one baseline."""
    run = store.create(Config.create(test_tasks=50, **settings), f"shift {shift}")
    chance = np.random.default_rng(seed)
    base = chance.uniform(0.4, 0.8, 50)
    values = {"protonet": base + shift + chance.normal(0, 0.001, 50), "frozen": base}
    methods = {
        "protonet": Measured("ProtoNet", "metalearner", False),
        "frozen": Measured("Frozen", "baseline", False),
    }
    evaluation = tabulate(methods, values, TaskShape(5, 1, 15), "test")
    run.write_arrays("accuracies", evaluation.accuracies)
    run.write_json("evaluation", evaluation.as_dict())
    return run


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path)


def test_only_equal_tasks_share_a_board(store: RunStore) -> None:
    same, other = evaluated(store, 0.1), evaluated(store, 0.1, shot=5)
    found = boards(store)
    where = {row.run: words for words, rows in found.items() for row in rows if row.run}
    assert where[same.id] == tasks_of(same.config)
    assert where[other.id] == tasks_of(other.config)
    assert where[same.id] != where[other.id]
    first = next(iter(found.values()))
    assert first[0].tasks == 600, "the shipped tables come first"
    assert [row.accuracy for row in first] == sorted((row.accuracy for row in first), reverse=True)


@pytest.mark.parametrize(
    "change",
    [{"way": 4}, {"shot": 2}, {"query": 3}, {"image_size": 28}, {"episodes": "mixed"}, {"test_tasks": 9}],
)
def test_whatever_changes_the_tasks_changes_their_words(change: dict) -> None:
    assert tasks_of(Config.create(**change)) != tasks_of(Config.create())


def test_training_settings_do_not_change_the_tasks() -> None:
    assert tasks_of(Config.create(seed=3, steps=9, metalearner="maml")) == tasks_of(Config.create())


def test_a_damaged_evaluation_leaves_the_board_alone(store: RunStore) -> None:
    good, bad = evaluated(store, 0.1), evaluated(store, 0.2)
    (bad.path / "evaluation.json").write_text('{"rows": 3}')
    shown = {row.run for rows in boards(store).values() for row in rows}
    assert good.id in shown
    assert bad.id not in shown


def test_a_baseline_stands_once_unless_it_differs() -> None:
    base = replace(ENTRY, key="a:frozen", kind="baseline", label="Frozen", origin="a", gain=None)
    again, other = replace(base, key="b:frozen", origin="b"), replace(base, key="c:frozen", accuracy=0.8)
    rows = ranked([base, again])
    assert [(row.key, row.origin) for row in rows] == [("a:frozen", "")]
    assert [row.key for row in ranked([base, again, other])] == ["a:frozen", "c:frozen"]
    assert all(row.origin for row in ranked([base, again, other])), "told apart by where they come from"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "ProtoNet · mine gains 6.2 ± 0.8 points over Frozen features on these 600 tasks"),
        ({"run": "id", "steps": 800}, "Your run mine (ProtoNet, 800 steps) gains 6.2 ± 0.8 points"),
        ({"run": "id", "steps": 20}, "Your run mine (ProtoNet, 20 steps) has had too few steps to judge"),
        (
            {"gain": -0.05},
            "is 5.0 ± 0.8 points worse than Frozen features on these 600 tasks. It does",
        ),
        ({"gain": 0.004}, "no clear gain"),
        ({"gain": 0.0, "gain_interval": 0.0}, "training changed nothing"),
        ({"transductive": True}, "It is transductive"),
        ({"gain": None}, "nothing to compare"),
    ],
)
def test_the_verdict_is_plain_either_way(change: dict, words: str) -> None:
    assert words in plain_verdict(replace(ENTRY, **change))


def test_runs_and_the_best_baseline_stand_first() -> None:
    best = replace(ENTRY, key="best", kind="baseline", accuracy=0.8)
    other, own = replace(ENTRY, key="other"), replace(ENTRY, key="own", run="id", accuracy=0.1)
    rows = ranked([other, best, own])
    assert [row.key for row in own_first(rows)] == ["own", "best", "other"]
    assert own_first([other, best]) == [other, best]


def test_two_runs_are_paired_over_the_same_tasks(store: RunStore) -> None:
    a, b = evaluated(store, 0.10), evaluated(store, 0.07)
    found = run_difference(a, b)
    ours, theirs = (run.read_arrays("accuracies")["protonet"] for run in (a, b))
    assert found is not None
    assert found.paired
    assert (found.difference, found.interval) == mean_interval(ours - theirs)
    (b.path / "accuracies.safetensors").unlink()
    older = run_difference(a, b)
    assert older is not None
    assert not older.paired
    assert older.difference == pytest.approx(found.difference)
    assert older.interval > 5 * found.interval
    assert run_difference(a, evaluated(store, 0.1, way=4)) is None


def test_settings_that_differ_are_named(store: RunStore) -> None:
    a = Config.create(metalearner="maml", options={"inner_steps": 1})
    b = Config.create(metalearner="maml", options={"inner_steps": 2, "inner_lr": 0.1}, steps=50)
    assert config_difference(a, a) == []
    found = {name: (left, right) for name, left, right in config_difference(a, b)}
    assert found == {
        "Steps": ("800", "50"),
        "Option inner lr": ("default", "0.1"),
        "Option inner steps": ("1", "2"),
    }


def test_costs_and_gains_reach_the_row() -> None:
    methods = {"a": Measured("A", "metalearner", True), "b": Measured("B", "baseline", False)}
    values = {"a": np.full(4, 0.5), "b": np.array([0.1, 0.2, 0.3, 0.4])}
    table = tabulate(methods, values, TaskShape(2, 1, 5), "test").as_dict()
    own, base = entries(table, "here", costs={"a": {"step_seconds": 2.0}}, run="id")
    assert (own.step_seconds, own.run, own.baseline, own.transductive) == (2.0, "id", "B", True)
    assert own.gain == pytest.approx(0.25)
    assert "(transductive)" in own.name
    assert (base.gain, base.run) == (None, None)


def test_shipped_models_and_trained_runs_are_listed(store: RunStore) -> None:
    run, untrained = store.create(Config.create(), "trained"), store.create(Config.create(), "not yet")
    run.checkpoint("best").write_bytes(b"")
    found = models(store)
    assert set(found) == {*shipped(), run.id}
    assert untrained.id not in found
    assert found[run.id][1] == run.checkpoint("best").stat().st_mtime
