"""Own images from outside: every layout is read, everything broken is named, nothing reaches the disk."""

from __future__ import annotations

import csv
import io
import os
import random
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metalab.data.reading import (
    ImageSet,
    Limits,
    decode,
    find_duplicates,
    leakage,
    read_images,
    require_classes,
    single_images,
)
from metalab.errors import DataError

Files = dict[str, bytes]


def picture(seed: int = 0, kind: str = "PNG", size: tuple[int, int] = (24, 20), **options: object) -> bytes:
    """Return an image file of smooth coloured noise."""
    noise = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC), kind, **options)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    held = io.BytesIO()
    image.save(held, kind, **options)
    return held.getvalue()


def two(**more: bytes) -> Files:
    return {"cat/1.png": picture(1), "cat/2.png": picture(2), "dog/1.png": picture(3), **more}


def on_disk(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return held.getvalue()


def from_zip(files: Files | bytes, **options: object) -> ImageSet:
    return read_images(io.BytesIO(files if isinstance(files, bytes) else zipped(files)), **options)


def said(images: ImageSet) -> str:
    return "\n".join(f"{note.action} {note.where}: {note.what}" for note in images.notes)


def png_of_size(width: int, height: int) -> bytes:
    """Return a PNG that claims to be this large, of a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


# --- layouts


LAYOUTS: dict[str, Files] = {
    "class folders": two(),
    "one enclosing folder": {f"set/{name}": content for name, content in two().items()},
    "enclosing folders and a cover": {
        **{f"a/set/{name}": content for name, content in two().items()},
        "a/set/cover.png": picture(9),
    },
    "imagefolder": {
        "train/cat/1.png": picture(1),
        "test/cat/2.png": picture(2),
        "validation/dog/1.png": picture(3),
    },
    "metadata.csv": {
        "train/1.png": picture(1),
        "train/2.png": picture(2),
        "test/3.png": picture(3),
        "train/metadata.csv": b"file_name,label\n1.png,cat\n2.png,cat\n",
        "test/metadata.csv": b"file_name,label\n3.png,dog\n",
    },
    "metadata.jsonl": {
        "1.png": picture(1),
        "2.png": picture(2),
        "3.png": picture(3),
        "metadata.jsonl": b'{"file_name": "1.png", "label": "cat"}\n{"file_name": "2.png", "label": "cat"}\n'
        b'{"file_name": "3.png", "label": "dog"}\n',
    },
    "table beside a folder": {
        "set/images/1.png": picture(1),
        "set/images/2.png": picture(2),
        "set/images/3.png": picture(3),
        "set/labels.csv": b"Image;Class\nimages\\1.png;cat\nimages/2.png;cat\nimages/3.png;dog\n",
    },
    "a table of something else": two(**{"notes.csv": b"day,weather,mood\n1,2,3\n"}),
    "deeper folders within a class": {
        "cat/1.png": picture(1),
        "cat/more/2.png": picture(2),
        "dog/1.png": picture(3),
    },
    "hidden files": two(
        **{"__MACOSX/cat/._1.png": b"x", "cat/._2.png": b"x", ".git/a/b.png": b"x", "cat/.x.png": b"x"}
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(layout: str, tmp_path: Path) -> None:
    for images in (from_zip(LAYOUTS[layout]), read_images(on_disk(tmp_path, LAYOUTS[layout]))):
        assert images.counts() == {"cat": 2, "dog": 1}, said(images)
        assert images.classes == ["cat", "dog"]
        assert all(image.dtype == np.uint8 and image.shape == (20, 24, 3) for image in images.images)
        assert len(images.names) == len(images.labels) == 3
        require_classes(images)
    assert ("merged" in said(images)) == (layout == "imagefolder")
    assert ("columns found: day, weather, mood" in said(images)) == (layout == "a table of something else")


def test_a_class_may_be_called_train() -> None:
    assert from_zip({"train/1.png": picture(1), "car/1.png": picture(2)}).classes == ["car", "train"]


def test_what_is_left_out_is_said() -> None:
    more = {
        "fox/": b"",
        "cat/notes.txt": b"x",
        "loose.png": picture(5),
        "cat/inner.zip": zipped(two()),
        "owl/1.png": b"x",
    }
    words = said(from_zip(two(**more)))
    for expected in ("fox: a folder without images", ".txt", "1 file in no class folder", "not opened"):
        assert expected in words
    assert "warning owl: no image of this class can be used" in words


@pytest.mark.parametrize("least", [2, 3])
def test_too_few_classes(least: int) -> None:
    images = from_zip({"cat/1.png": picture()})
    with pytest.raises(DataError, match=r"needed, found: 1 \(cat\)"):
        require_classes(images, least)


# --- tables


@pytest.mark.parametrize(
    ("text", "encoding", "note"),
    [
        ("path,label\n1.png,Äpfel\n2.png,cat\n", "utf-8", ""),
        ("path;label\r\n1.png;Äpfel\r\n2.png;cat\r\n", "utf-8-sig", ""),
        ("sep=;\npath;label\n1.png;Äpfel\n2.png;cat\n", "utf-8", ""),
        ("id\tCategory\tFileName\n1\tÄpfel\t1.png\n2\tcat\t2.png\n", "latin-1", "Latin-1"),
        ("path\tlabel\n1.png\tÄpfel\n2.png\tcat\n", "utf-16", ""),
        ("animal,path\nÄpfel,1.png\ncat,2.png\n", "utf-8", ""),
        ("this,that\n1.png, Äpfel \n\n2.png,cat\n", "utf-8", ""),
        ("1.png,Äpfel\n2.png,cat\n", "utf-8", "no header"),
        ('path,label\n"1.png","Äpfel"\nsub/../2.png,cat\n', "utf-8", ""),
    ],
)
def test_tables(text: str, encoding: str, note: str, tmp_path: Path) -> None:
    on_disk(tmp_path, {"1.png": picture(1), "2.png": picture(2), "t.csv": text.encode(encoding)})
    images = read_images(tmp_path / "t.csv")
    assert images.counts() == {"cat": 1, "Äpfel": 1}
    assert note in said(images)
    assert bool(note) == bool(images.notes)


def test_bad_rows_of_a_table_are_named(tmp_path: Path) -> None:
    rows = [
        ("file", "label"),
        ("in/1.png", "a/b 😀"),
        ("in/2.png", "c"),
        ("absent.png", "c"),
        ("../secret.png", "c"),
        (str(tmp_path / "secret.png"), "c"),
        ("C:\\x.png", "c"),
        ("in/1.png", ""),
        ("in/2.png", "c"),
        ("link.png", "c"),
        ("nul\0.png", "c"),
        ("x" * 5000 + ".png", "c"),
    ]
    held = io.StringIO()
    csv.writer(held).writerows(rows)
    on_disk(tmp_path, {"secret.png": picture(3)})
    home = on_disk(tmp_path / "set", {"in/1.png": picture(1), "in/2.png": picture(2)})
    (home / "link.png").symlink_to(tmp_path / "secret.png")
    (home / "t.csv").write_text(held.getvalue())
    images = read_images(home / "t.csv")
    assert images.counts() == {"a/b 😀": 1, "c": 1}
    words = said(images)
    assert words.count("leads out of the table's folder") == 3
    for expected in ("line 4: there is no file 'absent.png'", "line 8: no label", "listed twice", "a link"):
        assert expected in words
    with pytest.raises(DataError):
        read_images(home / "t.csv", strict=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,c\n1,2,3\n", "columns found: a, b, c"),
        ("path,text,more\nx.png,2,3\n", "no column for the label"),
        ("path,label\nx.png,a\n", "no row names an image"),
        ("", "columns found: none"),
        ("path,label\n", "holds no image"),
        ('path,label\n"' + "x" * 200_000, "not a readable CSV"),
    ],
)
def test_tables_that_cannot_be_used(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        read_images(tmp_path / "t.csv")


def test_json_lines_that_cannot_be_used() -> None:
    lines = (
        b'nonsense\n[1]\n{"file_name": 3, "label": "a"}\n{"file_name": "1.png", "label": 7}\n' + b"[" * 9000
    )
    images = from_zip({"1.png": picture(), "metadata.jsonl": lines})
    assert images.counts() == {"7": 1}
    assert [note.action for note in images.notes] == ["skipped"] * 4


# --- bad files


def truncated(kind: str, **options: object) -> bytes:
    content = picture(4, kind, (200, 200), **options)
    return content[: len(content) * 2 // 3]


ANY = "not a readable image|ends too early"
BAD: dict[str, tuple[str, bytes]] = {
    "renamed text": ("not a readable image", b"just text, renamed"),
    "PostScript": ("not a readable image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n"),
    "HEIC": ("HEIC", b"\0\0\0\x18ftypheic" + bytes(100)),
    "empty": ("the file is empty", b""),
    "one pixel": ("1×1 pixels, at least 8", encoded(Image.new("RGB", (1, 1)))),
    "narrow": ("7×300 pixels, at least 8", encoded(Image.new("RGB", (7, 300)))),
    "30,000 wide": ("times the other", encoded(Image.new("L", (30_000, 20)))),
    "bomb": ("far too many pixels", png_of_size(30_000, 30_000)),
    "too many pixels": ("8000×8000 pixels, at most 50", png_of_size(8_000, 8_000)),
    "half a JPEG": ("ends too early", truncated("JPEG")),
    "half a progressive JPEG": ("ends too early", truncated("JPEG", progressive=True)),
    "half a JPEG, then zeros": ("ends too early", truncated("JPEG") + bytes(4000)),
    "half a PNG": ("ends too early", truncated("PNG")),
    "half a WebP": (ANY, truncated("WEBP")),
    "half a BMP": (ANY, truncated("BMP")),
    "half a TIFF": (ANY, truncated("TIFF")),
    "no numbers": ("not numbers", encoded(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF")),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_skipped_or_raises(kind: str, tmp_path: Path) -> None:
    words, content = BAD[kind]
    files = two(**{"dog/bad.jpg": content})
    folder = on_disk(tmp_path, files)
    for images in (from_zip(files), read_images(folder)):
        assert images.counts() == {"cat": 2, "dog": 1}
        (note,) = images.notes
        assert note.action == "skipped"
        assert note.where.endswith("dog/bad.jpg")
        assert re.search(words, note.what)
    for path in (io.BytesIO(zipped(files)), folder):
        with pytest.raises(DataError, match=r"dog/bad\.jpg"):
            read_images(path, strict=True)


@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.filterwarnings("ignore")
def test_wherever_a_file_is_cut_no_half_picture_is_taken(kind: str) -> None:
    options = {"progressive": True} if kind.startswith("progressive") else {}
    content = picture(4, kind.split()[-1], (64, 48), **options)
    whole = decode(content, "a")
    for end in range(0, len(content), max(1, len(content) // 100)):
        try:  # what is cut off may be a mere end mark
            assert np.array_equal(decode(content[:end], "a"), whole)
        except DataError:
            assert end < len(content)


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no image that can be used.*1\.png: not a readable"):
        from_zip({"cat/1.png": b"x"})
    with pytest.raises(DataError, match="no image"):
        read_images(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read_images(tmp_path / "absent")
    on_disk(tmp_path, {"a.png": picture(), "b.bin": b"x"})
    with pytest.raises(DataError, match="one image"):
        read_images(tmp_path / "a.png")
    for path in (tmp_path / "b.bin", io.BytesIO(b""), io.BytesIO(b"PK\5\6"), "nul\0"):
        with pytest.raises(DataError):
            read_images(path)


# --- every kind of image


def half() -> np.ndarray:
    """(20, 30), black on the left and white on the right."""
    return np.where(np.arange(30) < 15, 0, 255).astype(np.uint8)[None].repeat(20, 0)


GREY = Image.fromarray(half())
CLEAR = Image.merge("RGBA", [Image.new("L", (30, 20), 0)] * 3 + [Image.fromarray(255 - half())])
KINDS: dict[str, Callable[[], bytes]] = {
    "L": lambda: encoded(GREY),
    "1": lambda: encoded(GREY.convert("1")),
    "P": lambda: encoded(GREY.convert("P")),
    "RGB jpeg": lambda: encoded(GREY.convert("RGB"), "JPEG", quality=95),
    "CMYK jpeg": lambda: encoded(GREY.convert("RGB").convert("CMYK"), "JPEG", quality=95),
    "CMYK tiff": lambda: encoded(GREY.convert("RGB").convert("CMYK"), "TIFF"),
    "RGBA": lambda: encoded(CLEAR),
    "LA": lambda: encoded(CLEAR.convert("LA")),
    "RGBA webp": lambda: encoded(CLEAR, "WEBP", lossless=True),
    "P with transparency": lambda: encoded(CLEAR, "GIF"),
    "L with transparency": lambda: encoded(Image.fromarray(half() // 2), transparency=127),
    "I;16 png": lambda: encoded(Image.fromarray(half().astype(np.uint16) * 257)),
    "I;16 tiff": lambda: encoded(Image.fromarray(half().astype(np.uint16) * 257), "TIFF"),
    "12 bits": lambda: encoded(Image.fromarray(half().astype(np.uint16) * 16), "TIFF", tiffinfo={281: 4080}),
    "I": lambda: encoded(Image.fromarray(half().astype(np.int32) * 70_000), "TIFF"),
    "I signed": lambda: encoded(Image.fromarray(half().astype(np.int32) - 100), "TIFF"),
    "F in 0..1": lambda: encoded(Image.fromarray(half().astype(np.float32) / 255), "TIFF"),
    "F in 0..255": lambda: encoded(Image.fromarray(half().astype(np.float32)), "TIFF"),
    "F of any range": lambda: encoded(Image.fromarray(half().astype(np.float32) * 1e6 - 5), "TIFF"),
    "bmp": lambda: encoded(GREY, "BMP"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image(kind: str) -> None:
    pixels = decode(KINDS[kind](), "a")
    assert (pixels.shape, pixels.dtype) == ((20, 30, 3), np.uint8)
    assert pixels[:, :12].max() < 12, "left is black"
    assert pixels[:, 18:].min() > 243, "right is white"


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_camera_held_askew(turn: int, kind: str) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = turn
    image = Image.open(io.BytesIO(picture(0, size=(64, 32))))
    content = encoded(image, kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
    assert np.array_equal(decode(content, "a"), expected)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_pictures_the_first_counts(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    images = from_zip(two(**{"dog/2.png": content}))
    assert "the first is used" in said(images)
    assert images.images[-1][8, 8, 0] > 240


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_images_are_reduced(kind: str) -> None:
    content = picture(0, kind, (3000, 1000))
    assert decode(content, "a").shape == (171, 512, 3)
    assert decode(content, "a", Limits(side=64)).shape == (21, 64, 3)
    with pytest.raises(DataError, match="3000×1000 pixels, at most 1 million"):
        decode(content, "a", Limits(pixels=1_000_000))


# --- zips


def patched(files: Files, edit: Callable[[zipfile.ZipInfo], None]) -> bytes:
    """Return a zip whose last entry's directory record was changed by ``edit``."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        edit(archive.infolist()[-1])
    return held.getvalue()


def set_flag(info: zipfile.ZipInfo) -> None:
    info.flag_bits |= 1


def as_link(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


def small_claim(info: zipfile.ZipInfo) -> None:
    info.file_size = 100


def large_claim(info: zipfile.ZipInfo) -> None:
    info.file_size = 4_000_000_000


def odd_method(info: zipfile.ZipInfo) -> None:
    info.compress_type = 97


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (set_flag, "encrypted"),
        (as_link, "a link"),
        (small_claim, "damaged within the zip"),
        (large_claim, "4000 MB, at most 50"),
        (odd_method, "method 97"),
    ],
)
def test_bad_entries_of_a_zip(edit: Callable[[zipfile.ZipInfo], None], words: str) -> None:
    content = patched(two(**{"dog/bad.png": picture(7, size=(64, 64))}), edit)
    images = from_zip(content)
    assert images.counts() == {"cat": 2, "dog": 1}
    assert words in said(images)
    with pytest.raises(DataError, match=words):
        from_zip(content, strict=True)


def test_zip_bombs_are_never_unpacked() -> None:
    limits = Limits(bytes_each=1_000_000, bytes_all=1_500_000)
    files = two(**{"dog/zeros.png": bytes(20_000_000)})
    assert "20 MB, at most 1 MB" in said(from_zip(files, limits=limits))
    # However small a size the directory claims, reading ends there.
    assert "damaged" in said(from_zip(patched(files, small_claim), limits=limits))
    many = two(**{f"dog/z{i}.png": bytes(900_000) for i in range(4)})
    with pytest.raises(DataError, match="more than 2 MB in all"):
        from_zip(many, limits=limits)
    images = {f"{i % 2}/{i}.png": picture(i, size=(500, 500)) for i in range(3)}
    with pytest.raises(DataError, match="more than 2 MB in all"):
        from_zip(images, limits=limits)


def test_too_many_files(tmp_path: Path) -> None:
    files = {f"{i % 2}/{i}.png": b"" for i in range(30)}
    for path in (io.BytesIO(zipped(files)), on_disk(tmp_path, files)):
        with pytest.raises(DataError, match="30 images, at most 20"):
            read_images(path, limits=Limits(files=20))
    with pytest.raises(DataError, match="more than 20 files"):
        read_images(tmp_path, limits=Limits(files=2))
    with pytest.raises(DataError, match="100000 images, at most 20000"):
        from_zip({f"{i % 2}/{i}.png": b"" for i in range(100_000)})


def test_names_that_lead_outside_are_only_names(tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    files = {"../../cat/1.png": picture(1), "/etc/dog/1.png": picture(2), "C:\\x\\owl\\1.png": picture(3)}
    images = from_zip(files)
    assert images.classes == ["cat", "dog", "owl"]
    assert [note.action for note in images.notes] == ["repaired"] * 3
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_in_a_zip() -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in [("a/1.png", picture(1)), ("b/1.png", picture(2)), ("a/1.png", picture(3))]:
            archive.writestr(name, content)
    images = from_zip(held.getvalue())
    assert images.counts() == {"a": 1, "b": 1}
    assert "appears twice" in said(images)
    assert np.array_equal(images.images[0], decode(picture(3), ""))


def test_links_of_a_folder(tmp_path: Path) -> None:
    on_disk(tmp_path, {"outside/secret.png": picture(8)})
    folder = on_disk(tmp_path / "set", two())
    (folder / "cat" / "in.png").symlink_to(folder / "cat" / "1.png")
    (folder / "cat" / "loop").symlink_to(folder)
    assert read_images(folder, strict=True).counts() == {"cat": 3, "dog": 1}
    (folder / "cat" / "out.png").symlink_to(tmp_path / "outside" / "secret.png")
    (folder / "out").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "dog" / "pipe.png")
    images = read_images(folder)
    assert images.counts() == {"cat": 3, "dog": 1}
    assert said(images).count("leads out of the folder") == 2
    with pytest.raises(DataError, match="leads out"):
        read_images(folder, strict=True)


# --- class names


def test_class_names() -> None:
    long = "x" * 150
    names = ["😀", " padded ", long + "a", long + "b", "Cat", "cat", "é", unicodedata.normalize("NFD", "é")]
    images = from_zip({f"{name}/1.png": picture(i) for i, name in enumerate(names)})
    assert len(images.classes) == len(names), "all stay apart"
    assert {"😀", "padded", "Cat", "cat"} <= set(images.classes)
    assert max(map(len, images.classes)) <= 100
    words = said(images)
    assert "'Cat' and 'cat' differ" in words
    assert words.count("separate classes") == 2
    assert words.count("shortened") == 2
    assert "' padded ' is read as 'padded'" in words


def test_utf8_names_that_macos_does_not_declare() -> None:
    files = {"cät/1.png": picture(1), "dog/1.png": picture(2)}
    content = zipped(files)
    for at in [i for i in range(len(content)) if content[i : i + 4] in (b"PK\1\2", b"PK\3\4")]:
        flag = at + (9 if content[at + 2] == 1 else 7)
        content = content[:flag] + bytes([content[flag] & ~8]) + content[flag + 1 :]
    assert from_zip(content).classes == ["cät", "dog"]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = on_disk(tmp_path, {"a\nb/1.png": picture(1)})
    os.makedirs(os.fsencode(folder) + b"/\xff\xfe")
    (folder / os.fsdecode(b"\xff\xfe") / "1.png").write_bytes(picture(2))
    images = read_images(folder)
    assert len(images.classes) == 2
    for text in [*images.classes, *images.names, said(images)]:
        text.encode()
    assert "a b" in images.classes


def test_single_images() -> None:
    images = single_images(
        {"cat ": [("1.png", picture(1)), ("2.txt", b"text")], "dog": [("3.png", picture(2))], "owl": []}
    )
    assert images.counts() == {"cat": 1, "dog": 1}
    assert "2.txt: not a readable image" in said(images)
    assert "owl: no image" in said(images)
    both = images.joined(single_images({"dog": [("4.png", picture(3))], "owl": [("5.png", picture(4))]}))
    assert both.counts() == {"cat": 1, "dog": 2, "owl": 1}
    assert both.names == ["1.png", "3.png", "4.png", "5.png"]
    assert images.counts() == {"cat": 1, "dog": 1}, "the first is as it was"


# --- duplicates


def photo(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)


def test_duplicates_are_found() -> None:
    first = photo(0)
    again = [
        first,
        Image.open(io.BytesIO(encoded(first, "JPEG", quality=40))),
        first.resize((97, 71)),
        first.point(lambda value: min(255, int(value * 0.9 + 20))),
    ]
    others = [photo(seed) for seed in range(1, 30)]
    images = [np.asarray(image.convert("RGB")) for image in [first, *others, *again]]
    pairs = find_duplicates(images)
    assert [pair for pair in pairs if pair[0] == 0] == [
        (0, 30, "same"),
        *((0, j, "near") for j in (31, 32, 33)),
    ]
    assert all(i == 0 or i > 30 for i, _, _ in pairs), "no two different pictures"
    assert [pair[2] for pair in find_duplicates(images, near=-1)] == ["same"]


def test_ten_thousand_images() -> None:
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 255, (10_000, 10, 10, 3), dtype=np.uint8))
    images[9_999] = images[3]
    assert (3, 9_999, "same") in find_duplicates(images)
    blank = [np.full((10, 10, 3), i % 256, np.uint8) for i in range(600)]
    assert len(find_duplicates(blank)) == 600 - 256


def test_leakage() -> None:
    one, other = np.asarray(photo(1)), np.asarray(photo(2))
    close = np.clip(one.astype(int) + 3, 0, 255).astype(np.uint8)
    names = [f"{i}.png" for i in range(6)]
    images = ImageSet([one, one, close, other, other, other], list("aabbcc"), names)
    words = "\n".join(f"{note.where}: {note.what}" for note in leakage(images))
    assert "1.png: the same image as 0.png, both 'a'" in words
    assert "2.png: nearly the same image as 0.png, but 'b' here and 'a' there" in words
    assert "4.png: the same image as 3.png, but 'c' here and 'b' there" in words


# --- anything at all


def mutated(content: bytes, rng: random.Random) -> bytes:
    held = bytearray(content)
    for _ in range(rng.choice([1, 2, 5, 30])):
        at = rng.randrange(len(held))
        kind = rng.random()
        if kind < 0.6:
            held[at] = rng.randrange(256)
        elif kind < 0.75:
            del held[at : at + rng.randrange(1, 40)]
        elif kind < 0.9:
            held[at:at] = rng.randbytes(rng.randrange(1, 20))
        else:
            held[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
        if not held:
            break
    return bytes(held) or b"\0"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_images_are_read_or_refused(kind: str) -> None:
    rng = random.Random(kind)
    content = picture(0, kind, (40, 30))
    for _ in range(120):
        try:
            pixels = decode(mutated(content, rng), "a", Limits(pixels=1_000_000))
        except DataError:
            continue
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3
        assert max(pixels.shape) <= 512


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("strict", [False, True])
def test_damaged_zips_are_read_or_refused(
    strict: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(7)
    table = {"metadata.csv": b"file_name,label\ncat/1.png,a\ndog/1.png,b\n"}
    for content in (zipped(two()), zipped(two(**table), zipfile.ZIP_STORED)):
        for _ in range(120):
            try:
                images = from_zip(mutated(content, rng), strict=strict, limits=Limits(pixels=1_000_000))
            except DataError:
                continue
            assert images.images
    assert not list(tmp_path.iterdir()), "nothing is ever extracted"
