"""Renderings of translations, a writer tuned to examples, and the chooser among renderings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metalab.api import create_metalearner
from metalab.backbones import create_backbone
from metalab.backbones.writer import CODE, Writer
from metalab.chrf import chrf, judge_translations, translation_scores
from metalab.config import Config
from metalab.data.pairs import Pair, pair_examples
from metalab.data.subwords import vocabulary
from metalab.metalearners.translation_choice import TranslationChooser
from metalab.renderings import NAMES, Kind, Rendering, likeness, remembered, rendering_features, script
from metalab.tasks import Examples
from metalab.tuning import coded_loss, fitted, nearest_codes, shortest

PAIRS = [
    Pair("South Africa", "Suid-Afrika"),
    Pair("Save", "Stoor"),
    Pair("Hello %(name)s", "Hallo %(name)s"),
    Pair("Search", "Soek"),
]


@pytest.fixture(scope="module")
def chooser() -> TranslationChooser:
    config = Config.create(application="translation", width=16, image_size=48, pretrained="none")
    writer = create_backbone(config)
    writer.groups.fill_(5)
    return create_metalearner("translate-choose", writer, seed=0, tuning_steps=3)


@pytest.fixture
def support() -> Examples:
    return pair_examples(PAIRS, vocabulary("languages"), 48)


def test_examples_and_the_source_are_remembered() -> None:
    held = {one.text: one.kind for one in remembered(PAIRS, "Hello %(user)s")}
    assert held["Hello %(user)s"] == Kind.COPIED
    assert held["Hallo %(name)s"] == Kind.REMEMBERED
    assert held["Hallo %(user)s"] == Kind.SWAPPED, "the translation of the like, its word exchanged"
    assert {one.text: one.kind for one in remembered(PAIRS, "Save search")}["Stoor Soek"] == Kind.SWAPPED
    assert [one.kind for one in remembered([], "Save")] == [Kind.COPIED]


def test_features_tell_scripts_and_placeholders() -> None:
    held = [Rendering("Stoor %(name)s", Kind.TUNED, 0, -1.0), Rendering("บันทึก", Kind.NEXT, 0, -1.0)]
    rows = rendering_features(held, "Save %(name)s", PAIRS, np.array([-1.0, -2.0]))
    assert rows.shape == (2, len(NAMES))
    columns = dict(zip(NAMES, rows.T, strict=True))
    assert columns["letters new to them"].tolist() == [0, 1]
    assert columns["placeholders kept"].tolist() == [1, 0]
    assert script("б") == "CYRILLIC"
    assert likeness("same", "Same") == 1
    assert likeness("ab", "xy") == 0


def test_tuning_fits_the_examples_and_changes_nothing_shared(
    chooser: TranslationChooser, support: Examples
) -> None:
    writer: Writer = chooser.backbone
    before = {name: value.clone() for name, value in writer.params().items()}
    code = torch.zeros(CODE)
    start = fitted(writer, support, code, 0, 1e-2)
    moved = fitted(writer, support, code, 12, 1e-2)
    assert coded_loss(writer, moved, support) < coded_loss(writer, start, support) - 0.3
    assert all(torch.equal(value, before[name]) for name, value in writer.params().items())
    again = fitted(writer, support, code, 12, 1e-2)
    assert all(torch.equal(moved[name], again[name]) for name in moved), "no hidden seed"


def test_the_nearest_code_is_that_under_which_examples_are_likeliest(
    chooser: TranslationChooser, support: Examples
) -> None:
    writer: Writer = chooser.backbone
    groups, shares = nearest_codes(writer, support)
    assert len(groups) == 3
    assert shares.sum().item() == pytest.approx(1)
    params = writer.params()
    losses = [coded_loss(writer, {"code": params["codes"][group]}, support).item() for group in range(5)]
    assert int(groups[0]) == int(np.argmin(losses))


def test_the_shortest_examples_are_trimmed(support: Examples) -> None:
    few = shortest(support, 2)
    words = vocabulary("languages")
    assert {words.decode(row) for row in few.y.tolist()} <= {pair.target for pair in PAIRS}
    assert few.y.shape[1] < support.y.shape[1]


def test_a_state_is_all_that_a_prediction_needs(chooser: TranslationChooser, support: Examples) -> None:
    with torch.no_grad():
        state = chooser.adapt(support, 1)
        one = chooser.search(state, support.x)
        other = chooser.search({name: value.clone() for name, value in state.items()}, support.x)
        none = chooser.predict(chooser.without_examples(), support.x)
    assert torch.equal(one[0], other[0])
    assert (one[1].exp().sum(1) <= 1 + 1e-5).all()
    assert len(none) == len(support.x)


def test_one_example_is_enough(chooser: TranslationChooser) -> None:
    single = pair_examples(PAIRS[:1], vocabulary("languages"), 48)
    with torch.no_grad():
        assert len(chooser.predict(chooser.adapt(single, 1), single.x)) == 1


def test_chrf_and_the_other_measures() -> None:
    words = vocabulary("languages")
    examples = pair_examples(PAIRS, words, 48)
    assert chrf("Stoor", "Stoor") == pytest.approx(1)
    assert chrf("xyz", "Stoor") == 0
    assert judge_translations(examples.y, examples).item() == pytest.approx(1)
    held = translation_scores(examples.y, examples)
    assert held["exact match"] == held["placeholders kept"] == 1
    wrong = pair_examples([Pair(pair.source, "Stoor") for pair in PAIRS], words, 48)
    held = translation_scores(wrong.y, examples)
    assert held["exact match"] == 0.25
    assert held["placeholders kept"] == 0.75
