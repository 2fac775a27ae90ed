"""Curves for drawing are short, and the same whenever one looks; the store keeps every event."""

from __future__ import annotations

import pytest

from metalab.config import Config
from metalab.history import MAX_POINTS, History, parse_events
from metalab.runs import RunStore


def train(n: int) -> list[dict[str, object]]:
    return [
        {"kind": "train", "step": step, "loss": 1 / step, "accuracy": step / n} for step in range(1, n + 1)
    ]


@pytest.mark.parametrize("n", [1, MAX_POINTS, MAX_POINTS + 1, 5000])
def test_curves_are_thinned_and_keep_their_mean(n: int) -> None:
    history = History(train(n))
    steps, values = history.curve("train", "accuracy")
    assert min(n, MAX_POINTS // 2) <= len(steps) <= MAX_POINTS
    assert steps == sorted(steps)
    assert len(history.of("train")) == n
    if n % 8 == 0:
        assert sum(values) / len(values) == pytest.approx((n + 1) / 2 / n)


def test_a_longer_history_only_adds_points() -> None:
    history = History(train(3000))
    before = history.curve("train", "loss")
    for event in train(3100)[3000:]:
        history.add(event)
    after = history.curve("train", "loss")
    assert len(after[0]) > len(before[0])
    assert after[0][: len(before[0])] == before[0]
    assert after[1][: len(before[0])] == before[1]


def test_a_resumed_attempt_is_drawn_anew() -> None:
    history = History(train(3))
    assert history.curve("train", "loss")[0] == [1, 2, 3]
    history.add({"kind": "resumed", "step": 2})
    history.add({"kind": "train", "step": 3, "loss": 9.0})
    assert history.curve("train", "loss") == ([1, 2, 3], [1.0, 0.5, 9.0])


def test_reading_goes_on_where_it_ended(tmp_path) -> None:
    run, history = RunStore(tmp_path).create(Config.create()), History()
    for number, event in enumerate(train(3), start=1):
        run.append(event)
        assert len(history.refresh(run).of("train")) == number
    assert history.events == run.history()


def test_events_damaged_by_hand_cost_only_themselves() -> None:
    lines = b'{"kind": "train", "step": "one"}\n[]\n{"kind": "train", "step": 2, "loss": [1]}\nnonsense\n'
    assert parse_events(lines) == []
    history = History(parse_events(b'{"kind": "train"}\n{"kind": "train", "step": 1, "loss": null}\n'))
    assert history.curve("train", "loss") == ([], [])
