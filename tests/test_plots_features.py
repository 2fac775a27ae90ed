"""Figures of features: the same axes, the right points, in every colour and dimension."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
from views import view_of

from metalab import plots_features
from metalab.embeddings import Embedding, embed
from metalab.inspection import TaskView, separation
from metalab.plots_separation import score_rows, separation_change, separation_rows


@pytest.fixture(scope="module")
def view() -> TaskView:
    return view_of()


@pytest.fixture(scope="module")
def picture(view: TaskView) -> Embedding:
    return embed(view.features, "pca")


def test_before_and_after_share_their_axes(view: TaskView, picture: Embedding) -> None:
    figure = plots_features.before_after(view, picture)
    assert figure.layout.xaxis.range == figure.layout.xaxis2.range
    assert figure.layout.yaxis.range == figure.layout.yaxis2.range
    drawn = [trace for trace in figure.data if trace.x[0] is not None]
    assert sum(len(trace.x) for trace in drawn) == 2 * 18
    assert "<b>" not in " ".join(trace.name for trace in figure.data), "names are no markup"
    assert any("&lt;b&gt;" in trace.name for trace in figure.data)
    assert f"{view.stages[-1].accuracy:.0%}" in figure.layout.annotations[1].text


def test_morph_has_a_frame_for_every_stage(view: TaskView, picture: Embedding) -> None:
    figure = plots_features.morph(view, picture)
    assert [frame.name for frame in figure.frames] == [stage.name for stage in view.stages]
    assert len(figure.layout.sliders[0].steps) == len(view.stages)


def test_numbers_beside_the_picture(view: TaskView, picture: Embedding) -> None:
    rows = score_rows(separation(view, picture))
    assert [row["measure"] for row in rows] == [
        "Silhouette",
        "k-NN accuracy",
        "Trustworthiness",
        "Linear CKA",
    ]
    assert all(row["after"] is None or -1 <= row["after"] <= 1 for row in rows)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 20, 24), (1, 100, 80)])
def test_braille_is_a_small_picture(shape: tuple[int, ...]) -> None:
    image = np.zeros(shape, dtype=np.float32)
    image[:, : shape[1] // 2] = 1
    lines = plots_features.braille(image).split("<br>")
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 16
    assert lines[0][0] == "⣿"
    assert lines[-1][0] == "⠀"


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("colour", ["class", "correctness", "confidence"])
def test_every_point_is_drawn_once_in_each_panel(view: TaskView, colour: str, dimensions: int) -> None:
    picture = embed(view.features, "pca", dimensions=dimensions)
    figure = plots_features.before_after(view, picture, colour=colour)
    drawn = [trace for trace in figure.data if trace.customdata is not None]
    assert {trace.type for trace in drawn} == {"scatter" if dimensions == 2 else "scatter3d"}
    assert sorted(point for trace in drawn for point in trace.customdata) == sorted(2 * list(range(18)))
    moving = plots_features.morph(view, picture, colour=colour)
    assert len({len(frame.data) for frame in moving.frames}) == 1, "frames match trace by trace"
    names = [frame.name for frame in moving.frames]
    assert [step.args[0][0] for step in moving.layout.sliders[0].steps] == [s.name for s in view.stages]
    assert {stage.name for stage in view.stages} <= set(names)
    assert len(names) == len(set(names))


def test_colours_say_what_they_should(view: TaskView, picture: Embedding) -> None:
    right = view.right(view.stages[-1])
    points = np.flatnonzero(~view.support)
    for colour, expected in (
        ("correctness", [plots_features.RIGHT if good else plots_features.WRONG for good in right]),
        ("confidence", view.stages[-1].probabilities.max(1)),
    ):
        traces = plots_features.stage_points(view, picture, picture.stages[-1], [""] * 18, colour)
        found = {
            i: tone for trace in traces for i, tone in zip(trace.customdata, trace.marker.color, strict=True)
        }
        assert [found[i] for i in points] == pytest.approx(expected)


def test_a_row_per_stage_and_example(view: TaskView, picture: Embedding) -> None:
    rows = plots_features.feature_rows(view, picture)
    assert len(rows) == 18 * len(view.stages)
    last = [row for row in rows if row["stage"] == view.stages[-1].name]
    assert [row["class"] for row in last] == [view.classes[label] for label in view.labels]
    assert [row["right"] for row in last if row["role"] == "query"] == view.right(view.stages[-1]).tolist()
    assert {row["right"] for row in last if row["role"] == "support"} == {None}
    assert [row["x"] for row in last] == picture.coordinates[-1][:, 0].tolist()


RESULT = {
    "tasks": 2,
    "rows": [
        {
            "measure": "silhouette",
            "before": [0.2, 0.1],
            "after": [0.5, 0.1],
            "difference": [0.3, 0.05],
            "values": [[0.1, 0.4], [0.3, 0.6]],
        },
        {
            "measure": "neighbour_accuracy",
            "before": [0.9, None],
            "after": [0.9, None],
            "difference": [0.0, None],
            "values": [[0.9, 0.9]],
        },
    ],
    "cka": [0.9, 0.01],
}


def test_separation_over_many_tasks_in_words_and_lines() -> None:
    rows = separation_rows(RESULT)
    assert [row["in words"] for row in rows[:2]] == ["classes lie further apart", "no clear change"]
    assert rows[0]["difference"] == "0.300 ± 0.050"
    figure = separation_change(RESULT)
    lines = [trace for trace in figure.data if trace.name == "one task"]
    assert [len(trace.x) for trace in lines] == [6, 3]
    assert list(lines[0].y[:2]) == [0.1, 0.4]
    assert isinstance(separation_change({"tasks": 1, "rows": [], "cka": None}), go.Figure)
