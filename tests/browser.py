"""What the browser tests share: a server of their own, a Chromium, and eyes for errors."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page

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
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


@contextmanager
def serve(home: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Give the address and the process of a dashboard that keeps its runs in ``home``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1"]
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "METALAB_HOME": str(home)})
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while True:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the dashboard does not answer") from None
                time.sleep(0.2)
        yield url, server
    finally:
        server.terminate()
        server.wait()


def navigation() -> dict[str, str]:
    """Return path → title of every page that app.py names, read from its text; Home has the path ""."""
    found = re.findall(r'st\.Page\(\s*"pages/(\w+)\.py",\s*title="([^"]+)"', (ROOT / "app.py").read_text())
    return {("" if name == "home" else name): title for name, title in found}


def shoot(page: Page, name: str) -> None:
    """Keep a picture of the whole page in the folder that METALAB_SCREENSHOTS names, if it is set."""
    if folder := os.environ.get("METALAB_SCREENSHOTS"):
        size = page.viewport_size
        height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": max(size["height"], min(height, 3000))})
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(folder) / f"{name}.png")
        page.set_viewport_size(size)


def settled(page: Page) -> None:
    """Wait until the server has nothing left to draw on ``page``."""
    page.locator(".stApp[data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(300)
    page.locator(".stApp[data-test-script-state=notRunning]").wait_for()


def still(page: Page, thing: Locator) -> dict[str, float]:
    """Wait until ``thing`` keeps its place for a moment, and return that place."""
    box = None
    while (now := thing.bounding_box()) is None or now != box:
        box = now
        page.wait_for_timeout(250)
    return now


def no_error(page: Page) -> None:
    assert page.get_by_test_id("stException").count() == 0, page.get_by_test_id("stException").inner_text()


def drag(page: Page, box: dict[str, float], way: list[tuple[float, float]]) -> None:
    """Draw the mouse, its button down, along ``way``, points in 0..1 of ``box``."""
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in way]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def fill(page: Page, label: str, value: object) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Enter")
