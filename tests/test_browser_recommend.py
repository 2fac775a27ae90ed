"""Recommend and Campaigns in a real Chromium: their main job, the model taken away; both schemes, a phone."""

from __future__ import annotations

from pathlib import Path

from browser import MARKS, no_error, settled, shoot
from playwright.sync_api import Page, expect

import metalab

pytestmark = MARKS
SIZES = {"wide": (1360, 1000), "phone": (390, 844)}


def looked_at(page: Page, name: str) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            settled(page)
            no_error(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, "wider than its window"
            shoot(page, f"{name}-{size}-{scheme}")
    page.set_viewport_size({"width": 1360, "height": 1000})


def test_rating_a_few_gives_a_list_of_ones_own(address: str, page: Page, tmp_path: Path) -> None:
    page.goto(address)
    page.goto(f"{address}/recommend")
    expect(page.get_by_text("The list appears with your first rating")).to_be_visible()
    for number, stars in ((0, 5), (1, 1)):
        page.get_by_test_id("stFeedback").nth(number).get_by_role("radio").nth(stars - 1).click()
        settled(page)
    expect(page.get_by_text("After: for this user")).to_be_visible()
    expect(page.get_by_text("because of").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the model").click()
    download.value.save_as(tmp_path / "model.safetensors")
    assert len(metalab.load(tmp_path / "model.safetensors").suggest(5)) == 5
    page.get_by_test_id("stMain").get_by_text("Somebody held out", exact=True).click()
    settled(page)
    expect(page.get_by_text("NDCG@5 after")).to_be_visible()
    expect(page.get_by_role("heading", name="Tastes")).to_be_visible()
    looked_at(page, "recommend")


def test_a_campaign_becomes_known_and_is_served(address: str, page: Page) -> None:
    page.goto(address)
    page.goto(f"{address}/adverts")
    expect(page.get_by_text("Click rate after 400 impressions")).to_be_visible()
    page.get_by_role("button", name="Another campaign").click()
    settled(page)
    expect(page.get_by_text("Thompson sampling, meta-learnt posterior")).to_be_visible()
    looked_at(page, "campaigns")
