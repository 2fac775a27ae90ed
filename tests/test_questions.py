"""Documentation as tasks of question answering: words, spans by the standard's structure, disjoint splits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metalab.data.corpus import corpus, token_span
from metalab.data.docstrings import PACKAGES, docstrings
from metalab.data.made_up import TELLING, anchors
from metalab.data.numpydoc import HELD_OUT, KINDS, answers, kinds_of
from metalab.data.questions import BEGIN, INSIDE, QuestionSource, window
from metalab.data.words import ASKED, FIELDS, MATCHED, PADDING, assembled, words
from metalab.errors import DataError
from metalab.tasks import SPLITS, TaskShape, seeded

DOC = """Compute the thing along an axis.

Parameters
----------
a : array_like
    Values to use, of shape (n, m).
axis : int, optional
    Axis along which it is computed. If None, all are used. Default is 0.
mode : {'raise', 'wrap'}, default='raise'
    What to do.

Returns
-------
out : ndarray
    The thing itself.

Raises
------
ValueError
    If `axis` is out of range.

See Also
--------
other : A related thing.

Notes
-----
.. versionadded:: 1.4

It takes time.

References
----------
.. [1] Ada Lovelace, "Notes upon the memoir of the engine", 1843, 1901.

Examples
--------
>>> import numpy
>>> compute([1, 2])
array([3])
"""


@pytest.fixture(scope="module")
def source() -> QuestionSource:
    return QuestionSource(96)


def test_words_cover_the_text_and_fit_their_buckets() -> None:
    held = words(DOC)
    told = "".join(DOC[start:end] for start, end in held.spans)
    assert told.replace(" ", "").replace("\n", "") == "".join(DOC.split())
    for field, values in enumerate(FIELDS[:-1]):
        assert held.fields[:, field].min() >= 0
        assert held.fields[:, field].max() < values
    assert words("Größe שלום 北京 x̂").plain[:3] == ["größe", "שלום", "北京"]
    assert len(words("")) == 0


def test_the_question_marks_its_subject() -> None:
    passage = words(DOC)
    rows, asked = assembled(words("What is the default of axis?"), passage, 0, 300)
    roles = rows[:, -1]
    assert (roles[:asked] == ASKED).all()
    assert (roles[asked + len(passage) :] == PADDING).all()
    marked = {passage.plain[at - asked] for at in np.flatnonzero(roles == MATCHED)}
    assert marked == {"axis", "default"}  # "is", "the" and "of" are common


@pytest.mark.parametrize(
    ("kind", "subject", "answer"),
    [
        ("type of a parameter", "a", "array_like"),
        ("type of a parameter", "axis", "int"),
        ("default", "mode", "raise"),
        ("default", "axis", "0"),
        ("choices", "mode", "{'raise', 'wrap'}"),
        ("shape", "a", "(n, m)"),
        ("parameter after", "a", "axis"),
        ("parameter before", "mode", "axis"),
        ("if it is None", "axis", "If None, all are used."),
        ("what a parameter means", "mode", "What to do."),
        ("parameter of a type", "int", "axis"),
        ("type of what is returned", "", "ndarray"),
        ("name of the result", "", "out"),
        ("error raised", "", "ValueError"),
        ("when it is raised", "ValueError", "If `axis` is out of range."),
        ("function to see also", "", "other"),
        ("version it came with", "", "1.4"),
        ("author referred to", "", "Ada Lovelace"),
        ("title referred to", "", "Notes upon the memoir of the engine"),
        ("first example", "", "compute([1, 2])"),
        ("output of the example", "", "array([3])"),
        ("the summary", "", "Compute the thing along an axis."),
    ],
)
def test_answers_stand_where_the_standard_says(kind: str, subject: str, answer: str) -> None:
    found = [DOC[one.start : one.end] for one in answers(DOC) if (one.kind, one.subject) == (kind, subject)]
    assert found == [answer]


@pytest.mark.parametrize(
    ("told", "default"),
    [
        ("float, default: 0.5", ["0.5"]),
        ("str, optional (default='weight')", ["weight"]),
        ("Default is `None`, meaning no conversion.", ["None"]),
        ("The default is used.", []),
        ("The default value is arbitrarily\n    chosen to be 64.", []),
        ("bbox, (default is Matplotlib's own)", []),
        ("If you keep the default `clip=True` parameter, it is cut.", []),
        ("str (default = 'unweighted' or 'dijkstra')", []),
        ('Run with the default "networkx" one. Default is False.', ["False"]),
    ],
)
def test_a_default_is_a_value_and_no_word_of_a_sentence(told: str, default: list[str]) -> None:
    text = f"Do it.\n\nParameters\n----------\na : thing\n    {told}\n"
    assert [text[one.start : one.end] for one in answers(text) if one.kind == "default"] == default


@pytest.mark.parametrize(
    ("section", "kind", "body", "answer"),
    [
        (
            "Examples",
            "output of the example",
            ">>> f()\narray([[1, 2],\n       [3, 4]])\n>>> g()\n5",
            "array([[1, 2],\n       [3, 4]])",
        ),
        ("References", "year of the reference", ".. [1] https://a.org/2011/10/04/hull, 1999.", "1999"),
    ],
)
def test_answers_are_whole(section: str, kind: str, body: str, answer: str) -> None:
    text = f"Do it.\n\n{section}\n{'-' * len(section)}\n{body}\n"
    assert [text[one.start : one.end] for one in answers(text) if one.kind == kind] == [answer]


def test_a_related_function_is_the_first_that_is_named() -> None:
    for body, found in (("one\ntwo", ["one"]), (":func:`one`\ntwo", [])):
        text = f"Do it.\n\nSee Also\n--------\n{body}\n"
        held = [text[one.start : one.end] for one in answers(text) if one.kind == "function to see also"]
        assert held == found


def test_text_without_sections_answers_nothing() -> None:
    assert answers("Just a line.\n\nAnd another.") == []
    assert answers("") == []


def test_splits_share_no_kind_family_package_or_text() -> None:
    families = [{KINDS[i].family for i in kinds_of(split)} for split in SPLITS]
    assert sum(map(len, families)) == len(set().union(*families))
    assert sorted(i for split in SPLITS for i in kinds_of(split)) == list(range(len(KINDS)))
    assert {family for held in HELD_OUT.values() for family in held} <= {kind.family for kind in KINDS}
    packages = [set(PACKAGES[split]) for split in SPLITS]
    assert not packages[0] & packages[1]
    assert not packages[0] & packages[2]
    assert not packages[1] & packages[2]
    texts = [set(corpus(split).texts) for split in SPLITS]
    assert not texts[0] & texts[2]
    assert not texts[1] & texts[2]


def test_every_split_can_form_tasks(source: QuestionSource) -> None:
    for split in SPLITS:
        source.check(TaskShape(1, 10, 5), split)
        assert set(source.class_names(split)) == set(kinds_of(split))
    with pytest.raises(DataError, match="way"):
        source.check(TaskShape(2, 1, 5), "test")
    with pytest.raises(DataError, match="are needed"):
        source.check(TaskShape(1, 100, 100), "validation")


def test_tasks_are_fixed_by_their_seed_and_hold_one_answer_each(source: QuestionSource) -> None:
    one = source.sample(6, "test", TaskShape(1, 3, 4), seeded("cpu", 1))
    same = source.sample(6, "test", TaskShape(1, 3, 4), seeded("cpu", 1))
    other = source.sample(6, "test", TaskShape(1, 3, 4), seeded("cpu", 2))
    assert torch.equal(one.query.x, same.query.x)
    assert torch.equal(one.query.y, same.query.y)
    assert not torch.equal(one.query.x, other.query.x)
    assert one.support.x.shape == (6, 3, 96, len(FIELDS))
    assert one.query.y.shape == (6, 4, 96)
    for part in (one.support, one.query):
        assert ((part.y == BEGIN).sum(-1) == 1).all()
        told = part.x[..., -1] > ASKED
        assert ((part.y >= 0) == told).all()
        begin = (part.y == BEGIN).long().argmax(-1)
        inside = part.y == INSIDE
        first_inside = torch.where(inside.any(-1), inside.long().argmax(-1), begin + 1)
        assert (first_inside == begin + 1).all()


def test_a_window_shows_the_answer_or_nothing_of_it() -> None:
    passage, rng = words(DOC), np.random.default_rng(0)
    first, count = token_span(passage, DOC.index("array([3])"), DOC.index("array([3])") + len("array([3])"))
    assert passage.plain[first : first + count] == ["array", "(", "[", "3", "]", ")"]
    for _ in range(20):
        _, labels, start, asked = window(passage, words("q"), (first, count), 64, rng)
        assert (labels > 0).sum() == count
        assert labels[first - start + asked] == BEGIN
        _, labels, start, _ = window(passage, words("q"), (first, count), 64, rng, missing=True)
        assert (labels > 0).sum() == 0


def test_made_up_kinds_stand_on_no_telling_word() -> None:
    held = {word for word, _ in anchors()}
    assert len(held) > 300
    assert not held & TELLING


def test_pretraining_labels_every_kind(source: QuestionSource) -> None:
    x, y = source.labelled_questions(8, seeded("cpu", 3))
    assert y.shape == (8, 96, source.n_train_classes)
    assert x.shape[:2] == y.shape[:2]
    assert ((y == BEGIN).sum((1, 2)) >= 1).all()
    assert ((y >= 0).any(-1) == (x[..., -1] > ASKED)).all()


def test_a_missing_package_is_said() -> None:
    with pytest.raises(DataError, match="not installed"):
        docstrings("no_such_package_here")


def test_docstrings_are_cached_and_a_broken_cache_is_read_anew(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("METALAB_HOME", str(tmp_path))
    first = docstrings("joblib")
    cache = next((tmp_path / "cache").glob("docstrings-*joblib*.json"))
    assert docstrings("joblib") == first
    assert len(first) > 20
    cache.write_text('{"no": "list"}')
    assert docstrings("joblib") == first
