"""A person's way through the dashboard, in a real Chromium: try, set up, train, reload mid-run, see."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LONG = 180_000
"""Milliseconds that a busy machine may take for one thing."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


@pytest.fixture(scope="module")
def address(metalab_home: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1"]
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "METALAB_HOME": str(metalab_home)})
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1360, "height": 1000})
        page.set_default_timeout(LONG)
        expect.set_options(timeout=LONG)
        yield page
        browser.close()


def shoot(page: Page, name: str) -> None:
    """Keep a picture of the whole page in the folder that METALAB_SCREENSHOTS names, if it is set."""
    if folder := os.environ.get("METALAB_SCREENSHOTS"):
        size = page.viewport_size
        height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": 1360, "height": min(height, 3000)})
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(folder) / f"{name}.png")
        page.set_viewport_size(size)


def no_error(page: Page) -> None:
    assert page.get_by_test_id("stException").count() == 0, page.get_by_test_id("stException").inner_text()


def fill(page: Page, label: str, value: object) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Enter")


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
    expect(page.get_by_role("heading", name="Adapt", exact=True)).to_be_visible()
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
