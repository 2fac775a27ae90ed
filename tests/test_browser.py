"""A person's way through the dashboard, in a real Chromium: try, set up, train, reload mid-run, see."""

from __future__ import annotations

import time

from browser import MARKS, no_error, shoot
from playwright.sync_api import Page, expect

pytestmark = MARKS


def test_try_it_now(address: str, page: Page) -> None:
    page.goto(address)
    expect(page.get_by_text("Query right after adaptation")).to_be_visible()
    expect(page.locator(".ml-task tbody tr")).to_have_count(5)
    expect(page.locator(".ml-task td:nth-child(3) img")).to_have_count(75)
    expect(page.locator(".js-plotly-plot .scatterlayer .points path").first).to_be_visible()
    expect(page.get_by_text("UMAP, one fit for all stages").first).to_be_visible()
    shoot(page, "home")
    first = page.locator(".ml-task img").first.get_attribute("src")
    page.get_by_role("button", name="Another task").click()
    expect(page.locator(".ml-task img").first).not_to_have_attribute("src", first or "")
    no_error(page)
    started = time.perf_counter()  # for the README: printed with -s, never asserted
    page.goto(address)
    expect(page.get_by_text("Try it now")).to_be_visible()
    painted = time.perf_counter() - started
    expect(page.locator(".ml-task tbody tr")).to_have_count(5)
    shown = time.perf_counter() - started
    print(f"warm server: page painted after {painted:.1f} s, task adapted and shown after {shown:.1f} s")
