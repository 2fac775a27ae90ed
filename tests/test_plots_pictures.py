"""Masks and boxes drawn into pictures: in place, in the classes' colours, with words beside them."""

from __future__ import annotations

import io
from base64 import b64decode

import numpy as np
from PIL import Image, ImageColor

from metalab.data.annotation import Instance, Picture
from metalab.embeddings import embed
from metalab.inspection import BACKGROUND, Stage, TaskView
from metalab.palette import GROUND, class_colours
from metalab.plots_features import before_after
from metalab.plots_pictures import data_url, described, overlay, picture_grid, reduced

GREY = np.full((40, 80, 3), 128, np.uint8)
MASK = np.zeros((40, 80), bool)
MASK[10:30, 20:40] = True


def test_a_mask_is_tinted_and_outlined() -> None:
    picture = Picture("p", GREY, [Instance("dog", (20, 10, 40, 30), MASK), Instance("other", (0, 0, 5, 5))])
    drawn = overlay(picture, ["cat", "dog"], side=320)
    assert drawn.shape == (160, 320, 3)
    tone = np.array(ImageColor.getrgb(class_colours(2)[1]))
    assert (drawn[5, 5] == 128).all(), "an object of no class is not drawn"
    np.testing.assert_allclose(drawn[80, 81], tone, atol=2)
    np.testing.assert_allclose(drawn[80, 120], 128 * 0.55 + tone * 0.45, atol=2)


def test_a_box_has_its_colour_and_score() -> None:
    picture = Picture("p", GREY, [Instance("cat", (20, 10, 60, 35))], ignore=np.ones((40, 80), bool))
    plain, scored = overlay(picture, ["cat"]), overlay(picture, ["cat"], [0.87])
    assert plain.shape == scored.shape == (192, 384, 3)
    tone = ImageColor.getrgb(class_colours(1)[0])
    assert tuple(plain[100, 97]) == tone
    assert (plain != scored).any()
    at_edge = Picture("p", GREY, [Instance("cat", (79.5, 39.5, 80, 40))])
    assert overlay(at_edge, ["cat"], [1.0]).shape == (192, 384, 3)


def test_words_beside_a_picture() -> None:
    both = [Instance("cat", (0, 0, 5, 5)), Instance("dog", (0, 0, 5, 5)), Instance("cat", (1, 1, 9, 9))]
    picture = Picture("p", GREY, both)
    assert described(picture, [0.9, 0.5, 0.4]) == "2 × cat (90%, 40%); dog (50%)"
    assert described(picture) == "2 × cat; dog"
    assert described(Picture("p", GREY)) == "nothing"


def test_places_have_the_colours_of_pictures() -> None:
    features = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    labels = np.arange(9) % 3
    stages = [Stage(name, features, np.eye(3, dtype=np.float32)[[0, 1, 2]], 1.0) for name in ("a", "b")]
    images = np.zeros((9, 3, 8, 8), np.float32)
    view = TaskView(images, labels, np.arange(9) < 6, [BACKGROUND, "cat", "dog"], stages, 0.1)
    figure = before_after(view, embed(view.features, "pca"))
    wanted = dict(enumerate([GROUND, *class_colours(2)]))
    for trace in figure.data:
        if trace.legendgroup.startswith("class"):
            tone = wanted[int(trace.legendgroup.split()[1])]
            assert trace.marker.color in (tone, (tone,) * 3)


def test_figures_for_notebooks_and_pages() -> None:
    small = reduced(np.zeros((900, 300, 3), np.uint8), 300)
    assert small.shape == (300, 100, 3)
    url = data_url(small)
    assert Image.open(io.BytesIO(b64decode(url.split(",")[1]))).size == (100, 300)
    figure = picture_grid([small] * 3, ["before", "after", "truth"])
    assert len(figure.data) == 3
    assert [one.text for one in figure.layout.annotations] == ["before", "after", "truth"]
    assert picture_grid([], []) is not None
