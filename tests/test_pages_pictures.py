"""The page Pictures by Streamlit's own test client: every source, and what is wrong stands in place."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from annotated_files import Files, coco, photo, voc_xml, with_coco, zipped
from PIL import Image
from streamlit.testing.v1 import AppTest

from metalab import shipped as ships
from metalab.adaptation import describe
from metalab.api import create_metalearner
from metalab.backbones import create_backbone
from metalab.checkpoints import save_checkpoint
from metalab.pretraining import save_backbone

ROOT = Path(__file__).parents[1]
WHAT, WHERE = "pictures-what", "pictures-where"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that are not trained: the page does not depend on how good they are."""
    folder = tmp_path_factory.mktemp("weights")
    for name in ("guided-masks", "guided-boxes"):
        config = ships.recipe(name)
        learner = create_metalearner(name, create_backbone(config))
        meta = {"config": config.model_dump(mode="json"), "seconds": 0, **describe(learner)}
        save_checkpoint(folder / f"{name}.safetensors", "metalearner", learner.state_dict(), meta)
        save_backbone(folder / "pyramid.safetensors", learner.backbone)
    return folder


@pytest.fixture
def open_page(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    monkeypatch.setenv("METALAB_HOME", str(tmp_path))
    monkeypatch.setattr(ships, "SHIPPED", weights)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=240)
    app.switch_page("pages/pictures.py")
    yield app.run()
    assert not app.exception


def choose(app: AppTest, what: str | None = None, where: str | None = None) -> AppTest:
    for key, value in ((WHAT, what), (WHERE, where)):
        if value:
            app.button_group(key=key).set_value(value)
    app.run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    blocks = [*app.markdown, *app.caption, *app.info, *app.error, *app.subheader]
    return "\n".join(str(one.value) for one in blocks)


def html(app: AppTest) -> str:
    return "\n".join(one.proto.body for one in app.get("html"))


def upload(app: AppTest, label: str, *files: tuple[str, bytes, str]) -> AppTest:
    field = next(one for one in app.get("file_uploader") if one.label == label)
    field.set_value(list(files) if field.proto.multiple_files else files[0])
    app.run()
    assert not app.exception
    return app


def png(side: int = 48) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 90, np.uint8)).save(content, "PNG")
    return content.getvalue()


def test_sample_tasks_of_both_kinds(open_page: AppTest) -> None:
    app = open_page
    metrics = {one.label for one in app.metric}
    assert metrics == {"Mean IoU after", "Mean IoU before", "Time to adapt"}
    assert html(app).count("alt='support") == 6
    assert html(app).count("alt='query") == 24, "labels, before and after of eight pictures"
    next(one for one in app.button if one.label == "Another task").click()
    first = html(app)
    app.run()
    assert html(app) != first
    choose(app, what="Draw boxes")
    assert {one.label for one in app.metric} == {"AP50 after", "AP50 before", "Time to adapt"}
    app.slider(key="pictures-least").set_value(0.95).run()
    assert not app.exception
    assert "After: nothing" in html(app)
    assert "6 · Features" in said(app)


def test_the_ready_models_are_tried_on_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With several ready models, here those that are shipped, the page takes the best, and says so."""
    monkeypatch.setenv("METALAB_HOME", str(tmp_path))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=240)
    app.switch_page("pages/pictures.py")
    app.run()
    assert "each ready model was tried" in said(app)
    assert "Logistic head on pixels (LR-D2), photo features" in said(app)
    model = next(one for one in app.selectbox if one.label == "Model")
    assert model.value == "auto"
    model.set_value("pixel-lrd2-photo").run()
    assert not app.exception
    assert "each ready model was tried" not in said(app)
    choose(app, what="Draw boxes")
    assert "AP50: Guided decoder, photo features" in said(app)


def test_own_annotated_pictures(open_page: AppTest) -> None:
    app = choose(open_page, what="Draw boxes", where="Annotated zip")
    assert "COCO, Pascal VOC" in said(app)
    files: Files = {f"JPEGImages/{i}.jpg": photo(i) for i in range(6)}
    files |= {f"Annotations/{i}.xml": voc_xml(str(i), ("cat", 2, 3, 12, 14)) for i in range(6)}
    files["Annotations/7.xml"] = voc_xml("7", ("dog", 2, 3, 12, 14))
    upload(app, "A zip of annotated pictures", ("voc.zip", zipped(files), "application/zip"))
    assert "6 pictures, 1 class" in said(app)
    assert "cannot be used as it is" in "".join(str(one.value) for one in app.warning)
    assert "there is no picture of this name" in app.dataframe[0].value["What"][0]
    assert not html(app)
    press(app, "Go on without")
    assert not app.warning
    assert any("Remarks on the files" in one.label for one in app.expander)
    assert html(app).count("alt='JPEGImages/") == 3 + 3 * 3
    assert {one.label for one in app.metric} == {"AP50 after", "AP50 before", "Time to adapt"}
    app.number_input(key="pictures-own-shot").set_value(10).run()
    assert "none is left to judge by" in said(app)
    app.multiselect[0].set_value([]).run()
    assert "no class is chosen" in said(app)
    for content, words in ((b"PK no zip", "bad.zip"), (zipped({"a.txt": b"x"}), "no annotations")):
        upload(app, "A zip of annotated pictures", ("bad.zip", content, "application/zip"))
        assert words in said(app)
    # Boxes are no masks: that is said, with what to do.
    upload(app, "A zip of annotated pictures", ("voc.zip", zipped(files), "application/zip"))
    choose(app, what="Paint pixels")
    assert "every object has a box but no mask" in said(app)
    upload(app, "A zip of annotated pictures", ("c.zip", zipped(with_coco(coco())), "application/zip"))
    app.number_input(key="pictures-own-shot").set_value(1).run()
    assert not app.exception


def test_labels_made_here_with_gaps(open_page: AppTest) -> None:
    app = choose(open_page, what="Draw boxes", where="Label here")
    press(app, "Sample pictures")
    assert len(app.session_state["label-pictures"]) == 4
    assert app.text_input(key="label-names").value not in ("", "object")
    press(app, "Take away")
    assert app.session_state["label-pictures"] == {}
    upload(
        app,
        "Pictures to label",
        ("one.png", png(), "image/png"),
        ("two.png", png(64), "image/png"),
        ("broken.png", b"no picture", "image/png"),
    )
    assert "broken.png" in said(app)
    held = app.session_state["label-pictures"]
    assert [one.name for one in held.values()] == ["one.png", "two.png"]
    assert "Nothing is labelled yet" in said(app)
    first = next(iter(held))
    app.session_state["labels-kept"] = {
        "shown": first,
        "drawn": {first: {"boxes": [[0, 0.1, 0.1, 0.6, 0.6]]}},
    }
    app.text_input(key="label-names").set_value("mug, pen").run()
    assert "nothing is labelled as 'pen' yet" in said(app)
    assert next(one for one in app.button if one.label == "Adapt to these labels").disabled
    app.text_input(key="label-names").set_value("mug").run()
    assert "1 of 2 pictures labelled" in said(app)
    press(app, "Adapt to these labels")
    app.run()
    assert "5 · Take it away" in said(app)
    assert html(app).count("alt='two.png, ") == 2, "before and after"
    # Another page and back: pictures, labels and the result are still there.
    app.switch_page("pages/tasks.py").run()
    app.switch_page("pages/pictures.py").run()
    assert app.button_group(key=WHERE).value == "Label here"
    assert "1 of 2 pictures labelled" in said(app)
    assert html(app).count("alt='two.png, ") == 2
    # What the browser sends is not trusted.
    app.session_state["labels-kept"] = {"shown": first, "drawn": {first: {"boxes": [[0, "x", 0, 1, 1]]}}}
    app.run()
    assert "values that are no numbers" in said(app)
    app.text_input(key="label-names").set_value(" , ").run()
    assert "no class name" in said(app)
    upload(app, "Pictures to label", *((f"{i}.png", png(40 + i), "image/png") for i in range(12)))
    assert "12 pictures are the most" in said(app)


def press(app: AppTest, label: str) -> None:
    next(one for one in app.button if one.label == label).click().run()
    assert not app.exception


def test_new_pictures_and_broken_ones(open_page: AppTest) -> None:
    app = open_page
    upload(app, "New pictures", ("new.png", png(), "image/png"), ("bad.png", b"x", "image/png"))
    assert "alt='new.png, new.png: " in html(app)
    assert "bad.png" in said(app)
    assert [one.label for one in app.get("download_button")] == [
        "Download the model",
        "Download the results",
        "Download a script",
        "Download as ONNX",
    ]


def test_no_model_is_said_and_training_offered(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(weights / "guided-masks.safetensors", tmp_path)
    shutil.copy(weights / "pyramid.safetensors", tmp_path)
    monkeypatch.setenv("METALAB_HOME", str(tmp_path))
    monkeypatch.setattr(ships, "SHIPPED", tmp_path)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=240)
    app.switch_page("pages/pictures.py").run()
    assert "no ready model" not in said(app)
    choose(app, what="Draw boxes")
    assert "There is no ready model for detection" in said(app)
    assert "--application detection" in said(app)
    press(app, "Train one")
    assert app.session_state["draft"]["application"] == "detection"
