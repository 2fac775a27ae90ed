"""Phrases and names in many languages: what is kept, and that splits share no language."""

from __future__ import annotations

import pytest

from metalab.data import catalogues as module
from metalab.data.catalogue_source import TEST, CatalogueSource, writing_pairs
from metalab.data.catalogues import catalogues, language_name
from metalab.data.languages import CHOOSING, RELATED, UNSEEN, VALIDATION, kept_out
from metalab.data.placeholders import unbalanced
from metalab.errors import DataError
from metalab.tasks import TaskShape, seeded


@pytest.fixture(scope="module")
def source() -> CatalogueSource:
    return CatalogueSource(48)


def test_pairs_are_translations() -> None:
    held = catalogues()
    assert len(held) > 150
    german = {pair.source: pair.target for pair in held["de"]}
    assert german["Search"] == "Suchen"
    assert german["Please correct the error below."].startswith("Bitte")
    for code in ("af", "fi", "th", "zh_Hans"):
        for pair in held[code]:
            assert pair.source.lower() != pair.target.lower()
            assert not unbalanced(pair.source, pair.target)
        assert len({pair.source for pair in held[code]}) == len(held[code])


def test_no_language_is_in_two_splits(source: CatalogueSource) -> None:
    parts = [set(source.pairs[split]) for split in ("train", "validation", "test")]
    parts.append(set(writing_pairs(catalogues())))
    assert all(len(part) >= 10 for part in parts)
    assert len(set.union(*parts)) == sum(map(len, parts))
    assert parts[2] <= set(TEST)


def test_unseen_families_are_in_no_training() -> None:
    trained = {*writing_pairs(catalogues()), *CHOOSING, *VALIDATION}
    held = {code for codes in UNSEEN.values() for code in codes} | kept_out()
    assert not trained & held
    assert not set(RELATED) & held
    assert not {"kv", "sn", "gv", "fi"} & trained


def test_tasks_and_the_pairs_of_pre_training(source: CatalogueSource) -> None:
    batch = source.sample(2, "test", TaskShape(1, 50, 5), seeded("cpu", 0))
    assert batch.support.x.shape[:2] == (2, 50)
    examples, groups = source.labelled_pairs(8, seeded("cpu", 0))
    assert len(examples.x) == 8
    assert groups.max() < source.n_train_classes == len(writing_pairs(catalogues()))


def test_names_for_people() -> None:
    assert language_name("af") == "Afrikaans"
    assert language_name("sr_Latn") == "Serbian (Latin)"
    assert language_name("no such") == "no such"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("django", "no_such_package"))
    catalogues.cache_clear()
    try:
        with pytest.raises(DataError, match="no_such_package"):
            catalogues()
    finally:
        catalogues.cache_clear()
