"""Drawings by hand become images as the models know them."""

from __future__ import annotations

import numpy as np
import pytest

from metalab.drawing import drawn_support, rasterise
from metalab.errors import DataError

CROSS = [[[0.1, 0.1], [0.5, 0.5]], [[0.5, 0.1], [0.1, 0.5]]]


def test_place_and_size_do_not_matter() -> None:
    moved = [[[0.4 + x / 2, 0.3 + y / 2] for x, y in stroke] for stroke in CROSS]
    np.testing.assert_allclose(rasterise(moved, 32), rasterise(CROSS, 32), atol=0.05)


@pytest.mark.parametrize("size", [16, 28, 32, 64])
def test_ink_is_light_in_the_middle_and_fills_the_image(size: int) -> None:
    image = rasterise(CROSS, size)
    assert image.shape == (1, size, size)
    assert image.dtype == np.float32
    assert image[0, 0, 0] == 0
    assert image[0, size // 2, size // 2] > 0.5
    rows = np.flatnonzero(image[0].max(1) > 0.5)
    assert 0.6 < len(rows) / size < 0.9


def test_a_dot_stays_small_and_a_line_keeps_its_width() -> None:
    dot = rasterise([[[0.9, 0.9]]], 32)[0]
    assert 0 < (dot > 0.5).sum() < 12
    line = rasterise([[[0.2, 0.5], [0.8, 0.5]]], 32)[0]
    assert (line.max(1) > 0.5).sum() <= 3
    assert (line.max(0) > 0.5).sum() > 20


def test_colour_models_see_dark_ink_on_paper() -> None:
    image = rasterise(CROSS, 32, channels=3)
    assert image.shape == (3, 32, 32)
    assert image[:, 0, 0].tolist() == [1, 1, 1]
    assert image[:, 16, 16].max() < 0.5


def test_a_support_set_leaves_empty_pads_out() -> None:
    support, classes = drawn_support({"a": [CROSS, []], "b": [[[[0.1, 0.2]]], CROSS]}, 16)
    assert classes == ["a", "b"]
    assert support.y.tolist() == [0, 1, 1]
    assert tuple(support.x.shape) == (3, 1, 16, 16)


@pytest.mark.parametrize(
    "strokes", [[], [[]], [[["a", 1]]], [[[float("nan"), 0]]], [[[1, 2, 3]]], [[[1e9, 0]]]]
)
def test_nonsense_is_refused(strokes: list) -> None:
    with pytest.raises(DataError, match="canvas"):
        rasterise(strokes, 16)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(DataError, match="two classes"):
        drawn_support({"a": [CROSS]}, 16)
    with pytest.raises(DataError, match="'b' has no drawing"):
        drawn_support({"a": [CROSS], "b": [[]]}, 16)
