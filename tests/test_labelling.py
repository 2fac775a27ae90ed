"""Labels drawn by hand become masks and boxes; what is no drawing is refused with words."""

from __future__ import annotations

import numpy as np
import pytest

from metalab.errors import DataError
from metalab.labelling import boxes_of, class_names, labelled, mask_of, require_labels

IMAGE = np.zeros((40, 80, 3), np.uint8)
NAN = float("nan")


def test_a_dot_is_a_disc_of_the_brush() -> None:
    mask = mask_of([[0, 0.25, [[0.5, 0.5]]]], (40, 80), 1)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 1}
    assert abs(int(mask.sum()) - np.pi * 100) < 40, "a width of 20 pixels"
    rows, columns = np.nonzero(mask)
    assert abs(rows.mean() - 19.5) < 0.6
    assert abs(columns.mean() - 39.5) < 0.6


def test_later_strokes_paint_over_and_the_eraser_takes_away() -> None:
    line = [[0.1, 0.5], [0.9, 0.5]]
    mask = mask_of([[0, 0.1, line], [1, 0.1, [[0.5, 0.5]]], [-1, 0.1, [[0.1, 0.5]]]], (40, 80), 2)
    assert (mask[20, 8], mask[20, 25], mask[20, 40], mask[20, 70]) == (0, 1, 2, 1)
    assert mask_of([[3, 0.1, line]], (40, 80), 2).max() == 0, "a class that was taken away"
    assert mask_of([], (40, 80), 1).shape == (40, 80)


def test_boxes_from_any_corner_and_clipped() -> None:
    one, other = boxes_of([[0, 0.5, 0.75, 0.25, 0.25], [1, 0.9, 0.9, 1.2, 1.2]], (40, 80), ["cat", "dog"])
    assert (one.label, one.box) == ("cat", (20.0, 10.0, 40.0, 30.0))
    assert (other.label, other.box) == ("dog", (72.0, 36.0, 80.0, 40.0))
    assert boxes_of([[0, 0.5, 0.5, 0.51, 0.9], [7, 0, 0, 1, 1]], (40, 80), ["cat"]) == []


@pytest.mark.parametrize(
    "strokes",
    [
        None,
        "x",
        [1],
        [[0, 0.1]],
        [[0, 0.1, []]],
        [[0, 0, [[0.5, 0.5]]]],
        [[0, 0.9, [[0.5, 0.5]]]],
        [[0.5, 0.1, [[0.5, 0.5]]]],
        [[-2, 0.1, [[0.5, 0.5]]]],
        [[0, 0.1, [[NAN, 0.5]]]],
        [[0, 0.1, [[1e300, 0.5]]]],
        [[0, 0.1, [[10**400, 0.5]]]],
        [[0, 0.1, [[3.0, 0.5]]]],
        [[0, 0.1, [["a", 0.5]]]],
        [[0, 0.1, [[0.5]]]],
        [[0, 0.1, [[0.5, 0.5]]]] * 2001,
        [[0, 0.1, [[0.5, 0.5]] * 20_001]],
    ],
)
def test_bad_strokes_are_refused(strokes: object) -> None:
    with pytest.raises(DataError, match=r"p\.png: .*Clear the picture"):
        labelled("p.png", IMAGE, {"strokes": strokes}, ["cat"], "masks")


@pytest.mark.parametrize(
    "boxes", [7, [None], [[0, 1, 1]], [[0, NAN, 0, 1, 1]], [[0, 5, 0, 1, 1]], [[0, 0, 0, 1, 1]] * 1001]
)
def test_bad_boxes_are_refused(boxes: object) -> None:
    with pytest.raises(DataError, match=r"p\.png: "):
        labelled("p.png", IMAGE, {"boxes": boxes}, ["cat"], "boxes")


def test_pictures_with_labels_and_without() -> None:
    drawn = {"strokes": [[1, 0.2, [[0.5, 0.5]]]], "boxes": [[0, 0.1, 0.1, 0.4, 0.4]]}
    masks = labelled("p", IMAGE, drawn, ["cat", "dog"], "masks")
    assert [one.label for one in masks.instances] == ["dog"]
    assert masks.instances[0].mask.shape == (40, 80)
    assert [one.mask for one in labelled("p", IMAGE, drawn, ["cat", "dog"], "boxes").instances] == [None]
    assert labelled("p", IMAGE, {}, ["cat"], "masks").instances == []
    with pytest.raises(DataError, match="nothing is labelled as 'cat' yet"):
        require_labels([masks], ["cat", "dog"])
    require_labels([masks], ["dog"])


def test_class_names_are_read_with_care() -> None:
    assert class_names(" cat, dog ,,") == ["cat", "dog"]
    for text, words in ((" , ", "no class name"), ("a,b,a", "twice"), ("a,b,c,d,e,f,g,h,i,j", "at most 9")):
        with pytest.raises(DataError, match=words):
            class_names(text)
