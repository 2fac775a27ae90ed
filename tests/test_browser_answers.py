"""Questions in a real Chromium: documentation, a file, a table; asked anew; the model taken away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from answer_files import sheets, small_learner
from browser import MARKS, no_error, settled, shoot
from playwright.sync_api import Page, expect

import metalab
from metalab.adaptation import describe
from metalab.checkpoints import save_checkpoint
from metalab.config import Config
from metalab.pretraining import save_backbone
from metalab.runs import RunStore
from metalab.shipped import shipped

pytestmark = MARKS


@pytest.fixture(scope="module", autouse=True)
def model(metalab_home: Path) -> Iterator[None]:
    """Where nothing is shipped, an untrained run stands in: the page does not depend on how good it is."""
    if shipped("question-answering"):
        yield
        return
    store = RunStore()
    config = Config.create(application="question-answering", width=16, image_size=96)
    run, learner = store.create(config, "untrained"), small_learner()
    meta = {"config": config.model_dump(mode="json"), **describe(learner)}
    save_checkpoint(run.checkpoint("best"), "metalearner", learner.state_dict(), meta)
    save_backbone(run.checkpoint("pretrained"), learner.backbone)
    yield
    store.delete(run.id)


def pick(page: Page, label: str) -> None:
    settled(page)
    page.get_by_test_id("stMain").get_by_text(label, exact=True).first.click()


def test_documentation_then_asked_and_taken_away(address: str, page: Page, tmp_path: Path) -> None:
    page.goto(address)
    page.goto(f"{address}/answers")
    expect(page.get_by_text("Token F1 after")).to_be_visible()
    expect(page.get_by_text("All methods on these questions")).to_be_visible()
    expect(page.get_by_role("heading", name="Features")).to_be_visible()
    settled(page)
    shoot(page, "answers")
    page.get_by_label("A new passage").fill("size : int, default=7\n    How large it is.\n")
    settled(page)
    page.get_by_role("button", name="Find the answer").click()
    expect(page.get_by_text("sure)").last).to_be_visible()
    settled(page)
    no_error(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the model").click()
    download.value.save_as(tmp_path / "model.safetensors")
    found = metalab.load(tmp_path / "model.safetensors").predict(["a : 1"], ["a?"])
    assert 0 <= found[0].probability <= 1
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the results").click()
    download.value.save_as(tmp_path / "results.json")
    assert len(json.loads((tmp_path / "results.json").read_text())) == 6


def test_a_file_and_a_table(address: str, page: Page) -> None:
    page.goto(address)
    page.goto(f"{address}/answers")
    pick(page, "A file")
    expect(page.get_by_text("SQuAD .json")).to_be_visible()
    rows = [
        {"passage": one.passage, "question": one.question, "answer": one.answer} for one in sheets(range(9))
    ]
    rows.append({"passage": "مرحبا", "question": "what?", "answer": "no"})
    settled(page)
    page.get_by_test_id("stFileUploader").locator("input").set_input_files(
        {"name": "own.json", "mimeType": "application/json", "buffer": json.dumps(rows).encode()}
    )
    expect(page.get_by_text("1 row is left out")).to_be_visible()
    settled(page)
    page.get_by_role("button", name="Go on with the rest").click()
    expect(page.get_by_text("Token F1 after")).to_be_visible()
    pick(page, "Typed here")
    expect(page.get_by_text("Type over them")).to_be_visible()
    expect(page.get_by_text("Token F1 after")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    settled(page)
    shoot(page, "answers-typed-phone")
    no_error(page)
