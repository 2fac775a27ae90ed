"""Texts in a real Chromium: the examples that stand there, a new text, the model taken away; both schemes."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import MARKS, no_error, settled, shoot
from playwright.sync_api import Page, expect

import metalab
from metalab.shipped import shipped

pytestmark = [
    *MARKS,
    pytest.mark.skipif(
        not (shipped("translation") and shipped("summarisation")), reason="no writers are shipped"
    ),
]
SIZES = {"wide": (1360, 1000), "phone": (390, 844)}


@pytest.mark.parametrize(("what", "text"), [("Translate", "Search in Africa"), ("Sum up", "Rows are read.")])
def test_its_main_job_then_a_new_text_and_the_model(
    address: str, page: Page, tmp_path: Path, what: str, text: str
) -> None:
    page.goto(address)
    page.goto(f"{address}/texts")
    expect(page.get_by_text("Time to adapt")).to_be_visible()
    settled(page)
    page.get_by_test_id("stMain").get_by_text(what, exact=True).first.click()
    settled(page)
    expect(page.get_by_text("Before · no example").first).to_be_visible()
    expect(page.get_by_role("heading", name="Features")).to_be_visible()
    page.get_by_role("textbox", name="A new text").fill(text)
    settled(page)
    page.get_by_role("button", name="Write").click()
    expect(page.get_by_text("After · against before")).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for name, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            settled(page)
            no_error(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, "wider than its window"
            shoot(page, f"texts-{what}-{name}-{scheme}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the model").click()
    download.value.save_as(tmp_path / "model.safetensors")
    found = metalab.load(tmp_path / "model.safetensors").predict([text])[0]
    assert found.source == text
