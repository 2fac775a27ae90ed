"""Demo and Compare in a real Chromium: dots that travel, curves that grow, reports, nobody else's form."""

from __future__ import annotations

from pathlib import Path

from browser import LONG, MARKS, no_error, settled, shoot
from playwright.sync_api import Browser, Page, expect
from test_comparison import evaluated

from metalab.runs import RunStore

pytestmark = MARKS


def test_the_demo_is_a_path_of_five_screens(address: str, page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{address}/demo")
    forward = page.get_by_role("button", name="Next")
    for number in range(1, 5):
        expect(page.get_by_role("img", name=f"Screen {number} of 5")).to_be_visible()
        expect(forward).to_be_in_viewport()
        if number == 4:
            chart = page.frame_locator("iframe").first
            dot = chart.locator(".scatterlayer .points path").first
            expect(dot).to_be_visible()
            before = dot.get_attribute("transform")
            dot.evaluate("dot => { dot.dataset.same = 'yes' }")
            page.get_by_role("button", name="Learn now").click()
            expect(page.get_by_role("button", name="Start over")).to_be_visible()
            expect(dot).not_to_have_attribute("transform", before or "")
            expect(dot).to_have_attribute("data-same", "yes")  # it travelled: not a new chart
        forward.focus()
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="How sure are we?")).to_be_visible()
    assert "screen=5" in page.url
    page.reload()
    expect(page.get_by_role("heading", name="How sure are we?")).to_be_visible()
    page.get_by_role("link", name="See all methods compared").click()
    expect(page.get_by_role("heading", name="Compare", exact=True)).to_be_visible()
    no_error(page)


def test_compare_two_runs_and_take_a_report_away(address: str, browser: Browser, page: Page) -> None:
    runs = [evaluated(RunStore(), shift) for shift in (0.02, 0.08)]
    page.goto(f"{address}/compare?a={runs[0].id}&b={runs[1].id}")
    expect(page.get_by_text("paired, on the same tasks")).to_be_visible()
    for tab in ("Gain over the best baseline", "Accuracy", "Cost against accuracy"):
        page.get_by_role("tab", name=tab, exact=True).click()
        panel = page.get_by_role("tabpanel").filter(visible=True)
        expect(panel.locator(".scatterlayer .points path").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Report of run B").click()
    no_error(page)
    report = browser.new_context(offline=True).new_page()
    said: list[str] = []
    report.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    report.on("pageerror", lambda error: said.append(str(error)))
    kept = Path(download.value.path()).with_suffix(".html")
    kept.write_bytes(Path(download.value.path()).read_bytes())
    report.goto(kept.as_uri())
    expect(report.locator(".js-plotly-plot .bars path").first).to_be_visible()
    expect(report.locator(".verdict")).to_contain_text("gains")
    expect(report.locator(".verdict")).to_be_visible()
    assert said == [], "it opens without a server and without the internet"
    report.context.close()
    for run in runs:
        RunStore().delete(run.id)


def test_curves_are_measured_in_the_background(address: str, page: Page) -> None:
    page.goto(f"{address}/compare")
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("Measuring in the background")).to_be_visible()
    expect(page.get_by_text("Measuring in the background … 0%")).not_to_be_visible()
    page.reload()  # it goes on without the page
    expect(page.get_by_text("Measuring in the background")).to_be_visible()
    lines = page.frame_locator("iframe").first.locator(".scatterlayer .trace")
    expect(lines).to_have_count(3)
    no_error(page)
    shoot(page, "compare")


def test_nobody_sees_the_form_of_another(address: str, browser: Browser) -> None:
    pages = []
    for _ in range(2):
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.set_default_timeout(LONG)
        page.goto(f"{address}/train")
        expect(page.get_by_label("Way", exact=True)).to_be_visible()
        pages.append(page)
    for page, way in zip(pages, (7, 9), strict=True):
        field = page.get_by_label("Way", exact=True)
        field.fill(str(way))
        field.press("Enter")
        settled(page)
    for page, way in zip(pages, (7, 9), strict=True):
        page.get_by_test_id("stSidebarNavLink").filter(has_text="Compare").click()
        expect(page.get_by_role("heading", name="Compare", exact=True)).to_be_visible()
        page.get_by_test_id("stSidebarNavLink").filter(has_text="Train").click()
        expect(page.get_by_label("Way", exact=True)).to_have_value(str(way))
        page.context.close()
