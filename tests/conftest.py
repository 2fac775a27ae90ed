"""Every test session has a metalab home of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session", autouse=True)
def metalab_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    before = os.environ.get("METALAB_HOME")
    os.environ["METALAB_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["METALAB_HOME"]
    else:
        os.environ["METALAB_HOME"] = before


@pytest.fixture(scope="module")
def address(metalab_home: Path) -> Iterator[str]:
    """The address of a dashboard on the session's metalab home."""
    from browser import serve

    with serve(metalab_home) as (url, _):
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from browser import CHROMIUM, FLAGS, LONG
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=LONG)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh browser window: nothing of another test is left in it."""
    from browser import LONG

    context = browser.new_context(viewport={"width": 1360, "height": 1000}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(LONG)
    yield page
    context.close()
