"""Every page that app.py names, in a real Chromium on a fresh home: no exception, nothing on the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import LONG, MARKS, navigation, no_error, serve, settled, shoot
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

pytestmark = MARKS

SIZES = {"projector": (1280, 720), "phone": (390, 844)}
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard whose home is empty, as on the day that it is installed."""
    with serve(tmp_path_factory.mktemp("fresh")) as (url, _):
        yield url


@pytest.mark.parametrize("path", navigation())
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_page_opens(fresh: str, browser: Browser, path: str, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(LONG)
    said = console(page)
    page.goto(f"{fresh}/{path}")
    expect(page.get_by_role("heading").first).to_be_visible()
    settled(page)
    no_error(page)
    assert said == []
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, "the page is wider than its window"
    shoot(page, f"{path or 'home'}-{size}-{scheme}")
    context.close()


def console(page: Page) -> list[str]:
    """Return a list that fills with what goes wrong in the browser.

    From a deep link Streamlit looks for its server below that path first and is told 404: no fault of ours.
    """
    said: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and "/_stcore/" not in message.location["url"]:
            said.append(f"{message.text} ({message.location['url']})")

    page.on("console", listen)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def test_a_deep_link_may_be_the_very_first_visit(tmp_path: Path, page: Page) -> None:
    path = list(navigation())[-1]
    with serve(tmp_path) as (url, _):
        page.goto(f"{url}/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        settled(page)
        links = page.get_by_test_id("stSidebarNavLink").all_inner_texts()
        assert [link.split("\n")[-1] for link in links] == list(navigation().values())
