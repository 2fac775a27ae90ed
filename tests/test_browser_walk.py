"""Every page that app.py names, in a real Chromium on a fresh home: no exception, nothing on the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import MARKS, navigation, no_error, serve, settled, shoot
from playwright.sync_api import ConsoleMessage, Page, expect

pytestmark = MARKS

SIZES = {"projector": (1280, 720), "phone": (390, 844)}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard whose home is empty, as on the day that it is installed."""
    with serve(tmp_path_factory.mktemp("fresh")) as (url, _):
        yield url


@pytest.mark.parametrize("path", navigation())
def test_every_page_opens(fresh: str, page: Page, path: str) -> None:
    said = console(page)
    page.goto(f"{fresh}/{path}")
    expect(page.get_by_role("heading").first).to_be_visible()
    settled(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for name, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            settled(page)
            no_error(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, "wider than its window"
            shoot(page, f"{path or 'home'}-{name}-{scheme}")
    assert said == []


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
