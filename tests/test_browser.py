"""A person's way through the dashboard, in a real Chromium: try, set up, train, reload mid-run, see."""

from __future__ import annotations

import time
from pathlib import Path

from browser import MARKS, fill, no_error, shoot
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


def test_train_reload_and_see(address: str, page: Page) -> None:
    page.goto(f"{address}/setup")
    expect(page.locator(".ml-task tbody tr")).to_have_count(5)
    page.get_by_text("More settings").click()
    settings = {"Steps": 400, "Width": 8, "Image size": 16, "Pre-training steps": 20, "Test tasks": 16}
    for label, value in settings.items():
        fill(page, label, value)
    page.get_by_label("Name of the run").fill("from the browser")
    page.get_by_label("Name of the run").press("Enter")
    shoot(page, "setup")
    page.get_by_role("button", name="Start training").click()

    expect(page.get_by_role("heading", name="Train", exact=True)).to_be_visible()
    expect(page.get_by_text("Meta-training (step 3)")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Meta-training (step 3)")).to_be_visible()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    assert "run=" in page.url
    shoot(page, "train")

    expect(page.get_by_text("Does meta-learning help here?")).to_be_visible()
    expect(page.get_by_text("What adaptation changed")).to_be_visible()
    expect(page.get_by_text("UMAP, one fit for all stages").first).to_be_visible()
    plot = page.locator(".js-plotly-plot").filter(has_text="one fit for all stages").first
    assert plot.locator(".scatterlayer .points path").count() >= 160, "80 examples before, 80 after"
    no_error(page)
    shoot(page, "results")

    page.get_by_role("button", name="Adapt and see").click()
    expect(page.get_by_role("heading", name="Adapt and see")).to_be_visible()
    expect(page.locator(".ml-task tbody tr")).to_have_count(5)
    shoot(page, "adapt")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the adapted model").click()
    import metalab

    assert len(metalab.load(download.value.path()).classes) == 5
    no_error(page)


def test_a_run_that_cannot_be_is_refused_in_place(address: str, page: Page, tmp_path: Path) -> None:
    page.goto(f"{address}/setup")
    page.get_by_role("combobox", name="Data source").click()
    page.get_by_role("option", name="Own images").click()
    fill(page, "Path on the server", tmp_path / "nowhere")
    expect(page.get_by_text("there is no such file or folder").first).to_be_visible()
    expect(page.get_by_role("button", name="Start training")).to_be_disabled()
    expect(page.get_by_role("heading", name="Set up a task")).to_be_visible()
    no_error(page)
