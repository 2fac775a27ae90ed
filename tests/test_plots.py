"""Figures: what they say, and that they survive odd input."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from metalab import palette, plots


def test_evaluation_bars_are_sorted_and_marked() -> None:
    rows = [
        {"label": name, "kind": kind, "accuracy": value, "interval": 0.01, "transductive": name == "T"}
        for name, kind, value in (("A", "metalearner", 0.9), ("T", "baseline", 0.95), ("C", "baseline", 0.2))
    ]
    bars = plots.evaluation_bars({"rows": rows, "way": 5}).data[0]
    assert list(bars.y) == ["C", "A", "T (transductive)"]
    assert bars.marker.color[1] == palette.OWN


def test_thumbnails_show_drawings_as_ink_on_paper() -> None:
    def corner(image: np.ndarray) -> tuple[int, ...]:
        content = base64.b64decode(plots.thumbnail(image).split(",")[1])
        return Image.open(io.BytesIO(content)).getpixel((0, 0))

    assert corner(np.zeros((1, 4, 4), dtype=np.float32)) == (255, 255, 255)
    red = np.zeros((3, 4, 4), dtype=np.float32)
    red[0] = 1
    assert corner(red) == (255, 0, 0)


def test_many_classes_have_many_colours() -> None:
    for way in (2, 10, 11, 50):
        assert len(set(palette.class_colours(way))) == way
