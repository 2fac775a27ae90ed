"""Figures of runs: one or several, long or short, and never more points than are drawn."""

from __future__ import annotations

from metalab import plots_runs
from metalab.history import MAX_POINTS, History
from metalab.splits import SplitSummary


def history(steps: int = 3000, accuracy: float = 0.5) -> History:
    train = [
        {"kind": "train", "step": step, "loss": 1 / step, "accuracy": accuracy} for step in range(1, steps)
    ]
    looks = [
        {"kind": "validation", "step": step, "accuracy": accuracy, "interval": 0.1} for step in (0, 100, 200)
    ]
    return History([*train, *looks])


def test_one_run_has_a_band_around_meta_validation() -> None:
    figure = plots_runs.accuracy_curves({"mine": history()})
    train, band, looks = figure.data
    assert len(train.x) <= MAX_POINTS
    assert list(looks.x) == [0, 100, 200]
    assert max(band.y) == 0.6
    assert min(band.y) == 0.4
    assert figure.layout.uirevision == "keep", "a refresh must not lose the zoom"
    assert len(plots_runs.loss_curves({"mine": history()}).data) == 1


def test_several_runs_have_a_colour_each() -> None:
    figure = plots_runs.accuracy_curves({"a": history(), "b": history(accuracy=0.7), "new": History()})
    colours = [trace.line.color for trace in figure.data if trace.mode == "lines+markers"]
    assert len(set(colours)) == 3
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert shown == ["a", "b"]


def test_pre_training_is_drawn_until_meta_training_begins() -> None:
    figure = plots_runs.loss_curves({"a": History([{"kind": "pretrain", "step": 20, "loss": 1.0}])})
    assert "pre-training" in figure.layout.xaxis.title.text
    assert list(figure.data[0].y) == [1.0]
    begun = plots_runs.accuracy_curves({"a": History([{"kind": "validation", "step": 0, "accuracy": 0.9}])})
    assert "meta-training" in begun.layout.xaxis.title.text


def test_an_event_without_numbers_is_left_out() -> None:
    events = [{"kind": "validation", "step": 5}, {"kind": "train", "step": 1, "loss": None}]
    figure = plots_runs.accuracy_curves({"a": History(events)})
    assert all(not trace.x for trace in figure.data)


def test_balance_has_a_bar_a_class_or_counts_classes() -> None:
    few = SplitSummary({"all": 2}, {"cat": 3, "dog": 5}, endless=False)
    bars = plots_runs.class_balance({"train": few, "validation": few, "test": few}).data
    assert [list(trace.y) for trace in bars] == [[3, 5]] * 3
    many = SplitSummary({"all": 90}, {str(i): 1 + i % 2 for i in range(90)}, endless=True)
    figure = plots_runs.class_balance({"train": many, "test": few})
    assert [list(trace.x) for trace in figure.data] == [[1, 2], [3, 5]]
    assert list(figure.data[0].y) == [45, 45]
    assert "fonts" in figure.layout.xaxis.title.text
