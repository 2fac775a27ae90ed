"""Figures: what they say, and that they survive odd input."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from metalab import plots
from metalab.backbones import create_backbone
from metalab.config import Config
from metalab.data import create_source
from metalab.embeddings import Embedding, embed
from metalab.inspection import BEFORE, TaskView, inspect_task, separation
from metalab.metalearners import check_options, get_metalearner, metalearners
from metalab.tasks import TaskShape, task_at

CONFIG = Config.create(image_size=16, width=8)


def view_of(name: str = "maml") -> TaskView:
    backbone = create_backbone(CONFIG).eval()
    torch.manual_seed(0)
    learner = get_metalearner(name)(create_backbone(CONFIG), check_options(name, {}))
    task = task_at(create_source(CONFIG), 0, "test", TaskShape(3, 2, 4), 0)
    return inspect_task(learner, backbone, task, ["a", "<b>", "c"])


@pytest.fixture(scope="module")
def view() -> TaskView:
    return view_of()


@pytest.fixture(scope="module")
def picture(view: TaskView) -> Embedding:
    return embed(view.features, "pca")


@pytest.mark.parametrize("name", list(metalearners()))
def test_a_task_is_seen_at_every_moment(name: str) -> None:
    view = view_of(name)
    assert view.stages[0].name == BEFORE
    assert len(view.stages) >= 2
    assert view.support.tolist() == [True] * 6 + [False] * 12
    for stage in view.stages:
        assert stage.features.shape[0] == 18
        np.testing.assert_allclose(stage.probabilities.sum(1), 1, rtol=1e-5)
        assert stage.accuracy == pytest.approx(view.right(stage).mean())
    again = TaskView.from_arrays(*view.to_arrays())
    assert again.classes == view.classes
    np.testing.assert_array_equal(again.stages[-1].features, view.stages[-1].features)


def test_before_and_after_share_their_axes(view: TaskView, picture: Embedding) -> None:
    figure = plots.before_after(view, picture)
    assert figure.layout.xaxis.range == figure.layout.xaxis2.range
    assert figure.layout.yaxis.range == figure.layout.yaxis2.range
    drawn = [trace for trace in figure.data if trace.x[0] is not None]
    assert sum(len(trace.x) for trace in drawn) == 2 * 18
    assert "<b>" not in " ".join(trace.name for trace in figure.data), "names are no markup"
    assert any("&lt;b&gt;" in trace.name for trace in figure.data)
    assert f"{view.stages[-1].accuracy:.0%}" in figure.layout.annotations[1].text


def test_morph_has_a_frame_for_every_stage(view: TaskView, picture: Embedding) -> None:
    figure = plots.morph(view, picture)
    assert [frame.name for frame in figure.frames] == [stage.name for stage in view.stages]
    assert len(figure.layout.sliders[0].steps) == len(view.stages)


def test_confusion_counts_every_query_example_once(view: TaskView) -> None:
    z = np.array(plots.confusion(view).data[0].z)
    assert z.sum() == 12
    assert np.trace(z) == view.right(view.stages[-1]).sum()


def test_numbers_beside_the_picture(view: TaskView, picture: Embedding) -> None:
    rows = plots.score_rows(separation(view, picture))
    assert [row["measure"] for row in rows] == [
        "Silhouette",
        "k-NN accuracy",
        "Trustworthiness",
        "Linear CKA",
    ]
    assert all(row["after"] is None or -1 <= row["after"] <= 1 for row in rows)


def test_evaluation_bars_are_sorted_and_marked() -> None:
    rows = [
        {"label": name, "kind": kind, "accuracy": value, "interval": 0.01, "transductive": name == "T"}
        for name, kind, value in (("A", "metalearner", 0.9), ("T", "baseline", 0.95), ("C", "baseline", 0.2))
    ]
    bars = plots.evaluation_bars({"rows": rows, "way": 5}).data[0]
    assert list(bars.y) == ["C", "A", "T (transductive)"]
    assert bars.marker.color[1] == plots.OWN


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 20, 24), (1, 100, 80)])
def test_braille_is_a_small_picture(shape: tuple[int, ...]) -> None:
    image = np.zeros(shape, dtype=np.float32)
    image[:, : shape[1] // 2] = 1
    lines = plots.braille(image).split("<br>")
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 16
    assert lines[0][0] == "⣿"
    assert lines[-1][0] == "⠀"


def test_thumbnails_show_drawings_as_ink_on_paper() -> None:
    def corner(image: np.ndarray) -> tuple[int, ...]:
        content = base64.b64decode(plots.thumbnail(image).split(",")[1])
        return Image.open(io.BytesIO(content)).getpixel((0, 0))

    assert corner(np.zeros((1, 4, 4), dtype=np.float32)) == (255, 255, 255)
    red = np.zeros((3, 4, 4), dtype=np.float32)
    red[0] = 1
    assert corner(red) == (255, 0, 0)


def test_many_classes_have_many_colours() -> None:
    for way in (2, 10, 11, 50):
        assert len(set(plots.class_colours(way))) == way
