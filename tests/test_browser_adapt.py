"""Adapt and Features in a real Chromium: step through, draw and predict, select by lasso, measure, export."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from browser import MARKS, drag, no_error, settled, shoot, still
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

pytestmark = MARKS


@pytest.fixture
def console(page: Page) -> Iterator[list[str]]:
    """Errors in the browser's console; there must be none."""
    found: list[str] = []

    def note(message) -> None:
        # Streamlit itself asks below a page's own path for its server, before it asks at the root.
        if message.type == "error" and "_stcore" not in message.location.get("url", ""):
            found.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: found.append(str(error)))
    yield found
    assert not found


def draw(page: Page, pad: Locator, *strokes: list[tuple[float, float]]) -> None:
    """Draw strokes, points in 0..1, on a pad with the mouse."""
    pad.scroll_into_view_if_needed()
    box = still(page, pad)
    for stroke in strokes:
        drag(page, box, stroke)


def choose(page: Page, option: str) -> None:
    page.get_by_test_id("stMain").get_by_text(option, exact=True).first.click()


def lasso(page: Page, plot: Locator) -> None:
    """Draw a lasso around the first panel of ``plot``; again, at most twice, if a redrawing undid it.

    A chart that the server draws anew has its first tool again, which zooms, and may stand elsewhere: the
    mouse goes down only when the tool is on and the chart keeps its place.
    """
    button = plot.locator(".modebar-btn[data-title='Lasso Select']")
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.1)]
    for _ in range(3):
        settled(page)
        plot.locator(".modebar-btn[data-title='Reset axes']").click()
        button.click()
        expect(button).to_have_class(re.compile(r"\bactive\b"))
        plot.evaluate("node => node.scrollIntoView({block: 'center'})")  # the mouse reaches no further
        drag(page, still(page, plot.locator(".nsewdrag").first), corners)
        with suppress(PlaywrightTimeout):
            page.get_by_text("examples selected").wait_for(timeout=20_000)
            return


def test_step_through_and_draw(address: str, page: Page, console: list[str]) -> None:
    page.goto(address)  # a server's first visit is to its home, which tells Streamlit of the pages
    expect(page.get_by_text("Try it now")).to_be_visible()
    page.goto(f"{address}/adapt?model=film&task=4")
    expect(page.get_by_text("What changed in the model")).to_be_visible()
    expect(page.get_by_label("Task", exact=True)).to_have_value("4")
    current = page.locator(".slider-label").first
    expect(current).to_contain_text("adapted:")
    shoot(page, "adapt-steps")
    rail = page.locator(".slider-rail-touch-rect")
    rail.scroll_into_view_if_needed()
    rail.click(position={"x": 2, "y": 2})
    expect(current).to_contain_text("pre-trained:")
    head = page.locator(".ml-task thead")
    expect(head).to_be_visible()
    frames = page.locator(".ml-task").inner_html()
    handle = page.get_by_role("slider")
    handle.focus()
    handle.press("Home")
    expect(handle).to_have_value("0")
    page.wait_for_function("(old) => document.querySelector('.ml-task').innerHTML !== old", arg=frames)
    expect(current).to_contain_text("pre-trained:")  # the figure was not drawn anew
    choose(page, "FiLM coefficients")
    expect(page.get_by_text("gamma: scales a channel by 1 + gamma")).to_be_visible()
    no_error(page)

    choose(page, "Draw one")
    pads = page.locator(".board canvas")
    expect(pads).to_have_count(3)
    cross = [[(0.15, 0.2), (0.8, 0.85)], [(0.85, 0.2), (0.2, 0.8)]]
    ring = [[(0.5, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 0.5), (0.5, 0.1)]]
    page.get_by_role("textbox", name="Class 2").fill("ring")
    draw(page, pads.nth(0), *cross)
    draw(page, pads.nth(1), *ring)
    expect(page.get_by_text("Now draw the query")).to_be_visible()
    draw(page, pads.nth(2), [(0.5, 0.2), (0.2, 0.55), (0.5, 0.8), (0.8, 0.45), (0.5, 0.2)])
    metric = page.get_by_test_id("stMetric").filter(has_text="Prediction")
    expect(metric).to_contain_text("ring")
    page.get_by_label("Clear query").click()
    expect(page.get_by_text("Now draw the query")).to_be_visible()
    draw(page, pads.nth(2), [(0.25, 0.3), (0.7, 0.75)], [(0.75, 0.25), (0.3, 0.7)])
    expect(metric).to_contain_text("A")
    shoot(page, "adapt-drawn")
    pads.nth(2).press("Delete")
    for key in (" ", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown", " "):
        pads.nth(2).press(key)
    expect(metric).to_be_visible()
    no_error(page)


def test_lasso_measure_and_export(address: str, page: Page, console: list[str]) -> None:
    page.goto(address)
    expect(page.get_by_text("Try it now")).to_be_visible()
    page.goto(f"{address}/features?model=protonet&task=4")
    settled(page)  # a click on what stands already breaks off what is still to be drawn
    choose(page, "PCA")
    plot = page.locator(".js-plotly-plot").first
    expect(plot.get_by_text("PCA, one fit for all stages").first).to_be_visible()
    lasso(page, plot)
    expect(page.get_by_text("80 examples selected")).to_be_visible()
    expect(page.locator(".ml-picked img")).to_have_count(60)
    shoot(page, "features-lasso")
    choose(page, "50")
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("paired by task")).to_be_visible()
    page.get_by_role("button", name="Export").click()
    for name, start in (
        ("HTML, interactive", b"<!doctype html>"),
        ("CSV, a row per example", b"stage,example,x,y"),
    ):
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        assert Path(download.value.path()).read_bytes().startswith(start)
    page.get_by_text("SVG", exact=True).click()
    page.keyboard.press("Escape")
    settled(page)  # the picture is made anew with the other format
    with page.expect_download() as download:
        plot.locator(".modebar-btn[data-title='Download plot']").click()
    assert download.value.suggested_filename == "features.svg"
    for view in ("confidence", "3D", "Morph"):
        choose(page, view)
        expect(plot).to_be_visible()
    expect(page.get_by_text("▶ Play")).to_be_visible()
    shoot(page, "features-3d")
    no_error(page)
