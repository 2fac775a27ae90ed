"""Pictures in a real Chromium: a sampled task, labels drawn and changed by hand, and what is found."""

from __future__ import annotations

import io

import numpy as np
import pytest
from browser import MARKS, drag, no_error, settled, shoot, still
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from metalab.shipped import shipped

pytestmark = [
    *MARKS,
    pytest.mark.skipif(
        not (shipped("segmentation") and shipped("detection")), reason="no model for pictures is shipped"
    ),
]
WIDE, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 844}
HARMLESS = "_stcore"
"""Streamlit looks for its server below the page's address first."""


def jpeg(colour: tuple[int, int, int], left: int) -> bytes:
    """A picture of a bright square on a dark, noisy ground."""
    pixels = np.random.default_rng(left).integers(0, 60, (240, 320, 3), dtype=np.uint8)
    pixels[60:180, left : left + 120] = colour
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG")
    return content.getvalue()


def listen(page: Page) -> list[str]:
    """Return a list that collects what the browser's console calls an error."""
    found: list[str] = []
    page.on(
        "console",
        lambda said: (
            found.append(f"{said.text} {said.location.get('url')}") if said.type == "error" else None
        ),
    )
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def press(page: Page, label: str) -> None:
    page.get_by_test_id("stMain").get_by_text(label, exact=True).click()


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone"])
def test_from_sample_to_prediction(address: str, page: Page, size: dict[str, int], scheme: str) -> None:
    errors = listen(page)
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{address}/pictures")
    expect(page.get_by_text("Mean IoU after")).to_be_visible()
    expect(page.locator("img[alt*='After: ']").first).to_be_visible()
    settled(page)
    shoot(page, f"pictures-masks-{scheme}")
    expect(page.get_by_text("was chosen: each ready model was tried")).to_be_visible()
    press(page, "Draw boxes")
    expect(page.get_by_text("AP50 after")).to_be_visible()
    expect(page.get_by_text("Confidence, at least")).to_be_visible()
    settled(page)
    shoot(page, f"pictures-boxes-{scheme}")

    press(page, "Label here")
    field = page.get_by_test_id("stFileUploader").filter(has_text="Pictures to label")
    files = [("one.jpg", (250, 200, 40), 40), ("two.jpg", (250, 200, 40), 150)]
    field.locator("input").set_input_files(
        [{"name": name, "mimeType": "image/jpeg", "buffer": jpeg(tone, left)} for name, tone, left in files]
    )
    canvas = page.locator(".labeller canvas")
    expect(canvas).to_be_visible()
    settled(page)
    expect(page.get_by_role("button", name="Adapt to these labels")).to_be_disabled()
    canvas.scroll_into_view_if_needed()
    drag(page, still(page, canvas), [(0.12, 0.24), (0.3, 0.5), (0.51, 0.76)])
    expect(page.get_by_text("Boxes on this picture: 1 × object")).to_be_visible()
    expect(page.get_by_text("1 of 2 pictures labelled")).to_be_visible()
    press(page, "Adapt to these labels")
    found = page.locator("img[alt^='two.jpg, After: ']")
    expect(found).to_be_visible()
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
    shoot(page, f"pictures-labelled-{scheme}")
    no_error(page)
    assert [one for one in errors if HARMLESS not in one] == []


def picture_to_label(page: Page) -> Locator:
    """Bring one picture to label here, and return the canvas that shows it."""
    press(page, "Label here")
    page.get_by_test_id("stFileUploader").filter(has_text="Pictures to label").locator(
        "input"
    ).set_input_files({"name": "one.jpg", "mimeType": "image/jpeg", "buffer": jpeg((250, 200, 40), 40)})
    canvas = page.locator(".labeller canvas")
    expect(canvas).to_be_visible()
    settled(page)
    return canvas


def test_labels_by_keys_survive_another_page(address: str, page: Page) -> None:
    page.set_viewport_size(WIDE)
    page.goto(f"{address}/pictures")
    expect(page.get_by_text("Mean IoU after")).to_be_visible()
    canvas = picture_to_label(page)
    canvas.focus()
    for key in ("ArrowLeft", "Space", "ArrowRight", "ArrowDown", "Space"):
        page.keyboard.press(key)
    expect(page.get_by_text("Brush strokes on this picture: 1 × object")).to_be_visible()
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    expect(page.get_by_text("Brush strokes on this picture: 2 × object")).to_be_visible()
    page.keyboard.press("Delete")
    expect(page.get_by_text("Brush strokes on this picture: 1 × object")).to_be_visible()
    page.keyboard.press("Space")
    page.keyboard.press("Control+z")  # takes back what is being drawn, and no more
    expect(page.get_by_text("Brush strokes on this picture: 1 × object")).to_be_visible()
    page.get_by_role("button", name="Take all labels off").click()
    expect(page.get_by_text("Nothing labelled here yet")).to_be_visible()
    page.get_by_role("button", name="Undo the last change").click()
    expect(page.get_by_text("Brush strokes on this picture: 1 × object")).to_be_visible()
    settled(page)
    page.get_by_test_id("stSidebarNav").get_by_text("Tasks", exact=True).click()
    expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
    page.get_by_test_id("stSidebarNav").get_by_text("Pictures", exact=True).click()
    expect(page.get_by_text("Brush strokes on this picture: 1 × object")).to_be_visible()
    press(page, "Adapt to these labels")
    expect(page.get_by_text("Every picture here is labelled")).to_be_visible()
    page.get_by_test_id("stFileUploader").filter(has_text="New pictures").locator("input").set_input_files(
        {"name": "new.jpg", "mimeType": "image/jpeg", "buffer": jpeg((250, 200, 40), 150)}
    )
    expect(page.locator("img[alt^='new.jpg']")).to_be_visible()
    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the results").click()
    assert download.value.suggested_filename == "results.zip"
    no_error(page)


def finger(page: Page, box: dict[str, float], way: list[tuple[float, float]]) -> None:
    """Drag a finger along ``way``, points in 0..1 of ``box``."""
    session = page.context.new_cdp_session(page)
    for number, (x, y) in enumerate(way):
        point = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        kind = "touchMove" if number else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_boxes_are_moved_resized_and_taken_away(address: str, page: Page) -> None:
    errors = listen(page)
    page.set_viewport_size(WIDE)
    page.goto(f"{address}/pictures")
    expect(page.get_by_text("Mean IoU after")).to_be_visible()
    press(page, "Draw boxes")
    canvas = picture_to_label(page)
    canvas.scroll_into_view_if_needed()
    place = still(page, canvas)

    def box(number: int) -> list[float]:
        drawn = "root => root.held.drawn[root.held.shown].boxes"
        return page.locator(".labeller").evaluate(drawn)[number][1:]

    away = page.get_by_role("button", name="Take the chosen box away")
    expect(away).to_be_disabled()
    drag(page, place, [(0.2, 0.2), (0.4, 0.5)])
    drag(page, place, [(0.6, 0.6), (0.9, 0.9)])
    expect(page.get_by_text("Boxes on this picture: 2 × object")).to_be_visible()
    drag(page, place, [(0.3, 0.3), (0.4, 0.4)])  # inside the first one, which is chosen by it
    assert box(0) == pytest.approx([0.3, 0.3, 0.5, 0.6], abs=0.01)
    drag(page, place, [(0.3, 0.3), (0.25, 0.1)])  # by its upper left corner
    assert sorted(box(0)) == pytest.approx([0.1, 0.25, 0.5, 0.6], abs=0.01)
    finger(page, place, [(0.75, 0.75), (0.8, 0.8), (0.95, 0.95)])  # the other one, up to the edge
    assert box(1) == pytest.approx([0.7, 0.7, 1, 1], abs=0.01)
    finger(page, place, [(0.71, 0.71), (0.65, 0.65), (0.61, 0.61)])
    assert sorted(box(1)) == pytest.approx([0.6, 0.6, 1, 1], abs=0.01)
    settled(page)
    shoot(page, "pictures-boxes-changed")
    canvas.focus()
    page.keyboard.press("Delete")
    expect(page.get_by_text("Boxes on this picture: 1 × object")).to_be_visible()
    assert min(box(0)) == pytest.approx(0.1, abs=0.01), "the chosen one is gone, not the other"
    page.keyboard.press("Control+z")
    expect(page.get_by_text("Boxes on this picture: 2 × object")).to_be_visible()
    place = still(page, canvas)  # the page may have scrolled meanwhile
    drag(page, place, [(0.3, 0.3), (0.3, 0.3)])
    away.click()
    expect(page.get_by_text("Boxes on this picture: 1 × object")).to_be_visible()
    assert max(box(0)) == pytest.approx(1, abs=0.01)
    expect(away).to_be_disabled()
    no_error(page)
    assert [one for one in errors if HARMLESS not in one] == []
