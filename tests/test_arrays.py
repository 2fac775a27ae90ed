"""Own images as NumPy saves them: what is read, what is refused by name, and that nothing is unpickled."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metalab.cli import main
from metalab.data.reading import ImageSet, Limits, read_images, stamp
from metalab.errors import DataError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 12, 10), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 12, 10, 3), dtype=np.uint8)
NAMES = np.array(["cat", "cat", "dog", "dog", "dog", "Äpfel 😀"])


def saved(**arrays: Any) -> io.BytesIO:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    file.seek(0)
    file.name = "mine.npz"
    return file


def read(limits: Limits | None = None, **arrays: Any) -> ImageSet:
    return read_images(saved(**arrays), limits=limits or Limits())


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int64", "bool", "float32", "float16"])
def test_every_kind_of_number(kind: str) -> None:
    whole = {"uint16": 65535, "bool": 1, "float32": 1, "float16": 1}.get(kind, 255)
    half = np.zeros((2, 12, 10), kind)
    half[:, :, 5:] = whole
    held = read(images=half, labels=[1, 2])
    assert held.counts() == {"1": 1, "2": 1}
    for image in held.images:
        assert (image.shape, image.dtype) == ((12, 10, 3), np.uint8)
        assert image[:, :5].max() == 0
        assert image[:, 5:].min() == 255


@pytest.mark.parametrize(
    "images", [COLOUR, COLOUR.transpose(0, 3, 1, 2), np.concatenate([COLOUR, COLOUR[..., :1] * 0 + 255], 3)]
)
def test_layouts_of_channels(images: np.ndarray) -> None:
    held = read(X=images, y=NAMES)
    assert held.labels == NAMES.tolist()
    assert held.names[3] == "X[3]"
    np.testing.assert_array_equal(held.images, COLOUR)
    np.testing.assert_array_equal(read(X=GREY, y=NAMES).images[0][..., 1], GREY[0])


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (NAMES, ["cat", "dog", "Äpfel 😀"]),
        (np.array([b"a", b"a", b"b", b"b", b"\xff", b"b"]), ["\\xff", "a", "b"]),
        (np.arange(6)[:, None] % 2, ["0", "1"]),
        (np.array([0.0, 1.0, 2.5, 0, 1, 0]), ["0", "1", "2.5"]),
        (np.array([True, False] * 3), ["False", "True"]),
    ],
)
def test_every_kind_of_label(labels: np.ndarray, classes: list[str]) -> None:
    assert read(images=GREY, labels=labels).classes == classes


def test_what_is_left_out_is_said() -> None:
    images = GREY.astype(np.float32) / 255
    images[1] = np.nan
    held = read(images=images, labels=np.array([0, 0, 1, 1, np.nan, 1]), splits=np.arange(3))
    words = "\n".join(map(str, held.notes))
    assert held.counts() == {"0": 1, "1": 3}
    for expected in (
        "mine.npz: splits: neither images nor labels",
        "mine.npz: images[1]: holds values that are not numbers",
        "mine.npz: images[4]: its label is not a number",
    ):
        assert expected in words
    assert "differ only in case" in str(read(images=GREY, labels=list("aAbbbb")).notes[0])
    large = read(images=np.zeros((2, 900, 600), np.uint8), labels=[0, 1])
    assert large.images[0].shape == (512, 341, 3)


class Evil:
    """Would make a file if it were ever unpickled."""

    def __reduce__(self) -> Any:
        return open, ("unpickled", "w")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"pictures": GREY, "labels": NAMES},
            r"no array 'images' \(or 'X'\); arrays found: labels, pictures",
        ),
        ({"images": GREY}, r"no array 'labels' \(or 'y'\)"),
        ({"images": GREY, "labels": NAMES[:4]}, "images: 6 images but 4 labels in 'labels'"),
        ({"images": GREY, "labels": np.eye(6)}, r"labels: has shape \(6, 6\), not \(n,\)"),
        ({"images": GREY, "labels": NAMES.astype(object)}, "labels: holds Python objects"),
        ({"images": np.array([Evil()] * 6), "labels": NAMES}, "images: holds Python objects"),
        ({"images": GREY, "labels": np.array(["2020-01-01"] * 6, "M8")}, "not labels"),
        ({"images": GREY.astype(complex), "labels": NAMES}, "images: holds complex128, not pixels"),
        ({"images": GREY.reshape(6, -1), "labels": NAMES}, r"images: has shape \(6, 120\).*Give \(n, H, W\)"),
        ({"images": np.zeros((6, 9, 9, 9)), "labels": NAMES}, r"has shape \(6, 9, 9, 9\)"),
        ({"images": GREY[:0], "labels": NAMES[:0]}, r"has shape \(0, 12, 10\)"),
        ({"images": GREY[:, :1, :1], "labels": NAMES}, "1×1 pixels, at least 8"),
        ({"images": np.zeros((6, 9, 900), np.uint8), "labels": NAMES}, "times the other"),
        ({"images": GREY.T.reshape(6, 12, 10, order="F"), "labels": NAMES}, "column by column"),
        (
            {"images": GREY.astype(np.float32), "labels": NAMES},
            r"images\[0\]: values .* floats go from 0 to 1",
        ),
        ({"images": GREY.astype(int) + 1000, "labels": NAMES}, "integers go from 0 to 255.*Scale them"),
    ],
)
def test_what_cannot_be_used_is_named(
    arrays: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=words):
        read(**arrays)
    assert not list(tmp_path.iterdir()), "nothing is unpickled, nothing written"


def test_limits() -> None:
    with pytest.raises(DataError, match="6 images, at most 5"):
        read(Limits(files=5), images=GREY, labels=NAMES)
    with pytest.raises(DataError, match=r"images\.npy: 3 MB, at most 1 MB"):
        read(Limits(bytes_all=1_000_000), images=np.zeros((6, 700, 700), np.uint8), labels=NAMES)
    with pytest.raises(DataError, match="700×700 pixels"):
        read(Limits(pixels=100_000), images=np.zeros((6, 700, 700), np.uint8), labels=NAMES)


def with_header(header: str, content: bytes = b"") -> io.BytesIO:
    """Return a .npz whose images have this description, whatever follows it."""
    file, text = io.BytesIO(), header.encode()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + content)
        labels = io.BytesIO()
        np.save(labels, np.arange(6))
        archive.writestr("labels.npy", labels.getvalue())
    file.seek(0)
    file.name = "mine.npz"
    return file


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (6, 5000, 5000)}\n", "ends too early"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (6, 10000000, 9000000)}\n", "million"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (-6, 9, 9)}\n", "has shape"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (6,)}\n", "Python objects"),
        ("{'descr': '|u1', 'shape': (6, 9, 9)}\n", "damaged"),
        ("__import__('os').abort()\n", "damaged"),
        ("(" * 9000 + "\n", "damaged"),
        ("x" * 20_000 + "\n", "too long"),
    ],
)
def test_descriptions_that_lie(header: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_images(with_header(header, pickle.dumps(1)))


def test_files_that_are_no_arrays(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    for content in (b"", b"text", b"PK\5\6" + bytes(18)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"mine\.npz"):
            read_images(path)
    whole = saved(images=GREY, labels=NAMES).getvalue()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"mine\.npz"):
            read_images(path)
    with pytest.raises(DataError, match="no such file"):
        read_images(tmp_path / "absent.npz")


def test_the_stamp_changes_with_the_files(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(COLOUR[0]).save(tmp_path / name / "1.png")
    (tmp_path / "t.csv").write_text("path,label\ncat/1.png,a\ndog/1.png,b\n")
    np.savez(tmp_path / "mine.npz", images=GREY, labels=NAMES)
    for path in (tmp_path, tmp_path / "t.csv"):
        before = stamp(path)
        assert stamp(str(path)) == before
        Image.fromarray(np.tile(COLOUR[0], (2, 2, 1))).save(tmp_path / "dog" / "1.png")
        changed = stamp(path)
        assert changed != before
        Image.fromarray(COLOUR[0]).save(tmp_path / "dog" / "1.png")
    before = stamp(tmp_path / "mine.npz")
    np.savez(tmp_path / "mine.npz", images=COLOUR, labels=NAMES)
    assert stamp(tmp_path / "mine.npz") != before
    with pytest.raises(DataError, match="no such file"):
        stamp(tmp_path / "absent")


def test_adapt_and_evaluate_take_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits(n_class=3)
    data, out = tmp_path / "digits.npz", tmp_path / "model.safetensors"
    np.savez_compressed(data, X=digits.images[:60] / 16, y=digits.target[:60])
    assert main(["adapt", "--model", "protonet", "--support", str(data), "--out", str(out)]) == 0
    assert "3 classes from 60 images" in capsys.readouterr().out
    asked = ["evaluate", "--application", "image-classification", "--data", str(data)]
    assert main([*asked, "--way", "3", "--shot", "1", "--query", "2", "--tasks", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["way"] == 3
    np.savez(data, X=digits.images, y=digits.target.astype(object))
    assert main(["adapt", "--support", str(data), "--out", str(out)]) == 2
    assert "digits.npz: y: holds Python objects" in capsys.readouterr().err


def test_integers_of_numpys_default_kind_are_0_to_255() -> None:
    from metalab.choice import ready
    from metalab.preparation import prepare

    backbone = ready("protonet").backbone
    small = prepare(GREY, backbone)
    np.testing.assert_array_equal(prepare(GREY.astype(np.int64), backbone), small)
    np.testing.assert_allclose(prepare(GREY.astype(np.uint16) * 257, backbone), small, atol=1e-6)
    with pytest.raises(DataError, match=r"integers outside 0\.\.255"):
        prepare(GREY.astype(np.int64) * 2, backbone)
