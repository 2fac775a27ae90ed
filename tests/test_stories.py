"""Made-up stories as tasks of question answering: true answers, disjoint splits, all of it in a window."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from metalab.config import Config
from metalab.data import create_source
from metalab.data.questions import BEGIN, INSIDE
from metalab.data.stories import (
    EVENTS,
    STORY_HELD_OUT,
    STORY_KINDS,
    TEMPLATES,
    TOLD,
    Story,
    made_up_kind,
    story_kinds_of,
    told,
)
from metalab.data.story_source import LEAST, StorySource
from metalab.data.story_words import vocabulary
from metalab.data.words import ASKED, MATCHED, words
from metalab.errors import ConfigError, DataError
from metalab.tasks import SPLITS, TaskShape, seeded

SHAPE = TaskShape(1, 2, 3)


@pytest.fixture(scope="module")
def source() -> StorySource:
    return StorySource(LEAST)


@pytest.fixture(scope="module")
def story() -> Story:
    """A story of which the answers below were found by reading."""
    held = Story()
    for relation, template, slots in (
        ("move", "{who} went to the {place}.", {"who": "Ada", "place": "park"}),
        ("take", "{who} took the {what}.", {"who": "Ada", "what": "hat"}),
        ("fear", "Every {what} is afraid of the {of}.", {"what": "fox", "of": "swan"}),
        ("move", "{who} went to the {place}.", {"who": "Ada", "place": "tower"}),
        ("is", "{who} is a {what}.", {"who": "Bo", "what": "fox"}),
        ("drop", "{who} dropped the {what}.", {"who": "Ada", "what": "hat"}),
        (
            "move",
            "On {day} {who} travelled to the {place}.",
            {"day": "Friday", "who": "Bo", "place": "tower"},
        ),
        ("take", "{who} took the {what}.", {"who": "Bo", "what": "milk"}),
        ("give", "{who} gave the {what} to {to}.", {"who": "Bo", "what": "milk", "to": "Cy"}),
        ("move", "{who} went to the {place}.", {"who": "Ada", "place": "cave"}),
        ("move", "{who} went to the {place}.", {"who": "Cy", "place": "park"}),
        ("price", "The {what} costs {value} coins.", {"what": "hat", "value": "70"}),
        ("kin", "{who} is the sister of {of}.", {"who": "Cy", "of": "Bo"}),
    ):
        held.tell(relation, template, **slots)
    return held


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("where a person is", {"Ada": "cave", "Bo": "tower", "Cy": "park"}),
        ("where a person went first", {"Ada": "park", "Bo": "tower", "Cy": "park"}),
        ("where a person was before", {"Ada": "tower"}),
        ("where a person went after", {"Ada park": "tower", "Ada tower": "cave"}),
        ("who came last to a place", {"park": "Cy", "tower": "Bo", "cave": "Ada"}),
        ("day of a journey", {"Bo": "Friday"}),
        ("who has a thing", {"milk": "Cy"}),
        ("what a person carries", {"Cy": "milk"}),
        ("where a thing is", {"hat": "tower", "milk": "park"}),
        ("who gave a thing", {"milk": "Bo"}),
        ("who received a thing", {"milk": "Cy"}),
        ("what is feared", {"Bo": "swan"}),
        ("price of a thing", {"hat": "70"}),
        ("whose relative", {"Cy": "Bo"}),
        ("colour of a thing", {}),
    ],
)
def test_answers_are_those_of_a_reader(story: Story, name: str, answers: dict[str, str]) -> None:
    kind = next(kind for kind in STORY_KINDS if kind.name == name)
    assert {subject: story.text[start:end] for subject, (_, start, end) in kind.find(story)} == answers


def test_the_answer_is_at_the_fact_that_counts(story: Story) -> None:
    kind = next(kind for kind in STORY_KINDS if kind.name == "what a person carries")
    ((_, (_, start, end)),) = kind.find(story)
    assert story.text[:end].endswith("Bo gave the milk"), "not where it was taken"
    assert story.text[start:end] == "milk"


def test_where_a_thing_is_is_unknown_when_its_holder_never_went_anywhere() -> None:
    held, where = Story(), next(kind for kind in STORY_KINDS if kind.name == "where a thing is")
    for relation, template, slots in (
        ("take", "{who} took the {what}.", {"who": "Ada", "what": "hat"}),
        ("move", "{who} went to the {place}.", {"who": "Ada", "place": "park"}),
        ("drop", "{who} dropped the {what}.", {"who": "Ada", "what": "hat"}),
    ):
        held.tell(relation, template, **slots)
    assert [(subject, word) for subject, (word, _, _) in where.find(held)] == [("hat", "park")]
    held.tell("take", "{who} took the {what}.", who="Bo", what="hat")
    assert where.find(held) == []


@pytest.mark.parametrize("number", range(len(STORY_KINDS)))
def test_every_kind_is_answered_by_words_of_the_story(number: int) -> None:
    kind, rng, found = STORY_KINDS[number], np.random.default_rng(number), 0
    split = next(split for split in SPLITS if number in story_kinds_of(split))
    for _ in range(40):
        held = told(rng, split, kind.about)
        answers = kind.find(held)
        found += bool(answers)
        for subject, (word, start, end) in answers:
            assert held.text[start:end] == word
            assert all(part in held.text for part in subject.split())
    assert found > 15


def test_nobody_takes_what_is_held_nor_gives_what_they_have_not() -> None:
    rng, events = np.random.default_rng(0), 0
    for _ in range(100):
        holder: dict[str, str] = {}
        for fact in told(rng, "test", ("take", "give", "drop")).facts:
            if fact.relation not in ("take", "give", "drop"):
                continue
            events += 1
            who, what = (fact.slots[slot][0] for slot in ("who", "what"))
            assert holder.get(what) == (None if fact.relation == "take" else who)
            holder[what] = fact.slots["to"][0] if fact.relation == "give" else who
            if fact.relation == "drop":
                del holder[what]
    assert events > 300


def test_splits_share_no_kind_family_relation_of_their_own_or_word() -> None:
    families = [{STORY_KINDS[i].family for i in story_kinds_of(split)} for split in SPLITS]
    assert sum(map(len, families)) == len(set().union(*families))
    assert {family for held in STORY_HELD_OUT.values() for family in held} <= set().union(*families)
    assert sorted(i for split in SPLITS for i in story_kinds_of(split)) == list(range(len(STORY_KINDS)))
    for split in SPLITS:
        about = {relation for i in story_kinds_of(split) for relation in STORY_KINDS[i].about}
        assert about <= {*EVENTS, *TOLD[split]}
    for one, other in itertools.combinations(SPLITS, 2):
        ours, theirs = (
            {word.lower() for held in vocabulary(split).values() for word in held} for split in (one, other)
        )
        assert not ours & theirs
    told_by = {word for ways in TEMPLATES.values() for way in ways for word in words(way).plain}
    assert not told_by & {w.lower() for s in SPLITS for held in vocabulary(s).values() for w in held}


def test_tasks_are_fixed_by_their_seed_and_hold_one_answer_each(source: StorySource) -> None:
    one, same = (source.sample(6, "test", SHAPE, seeded("cpu", 1)) for _ in range(2))
    other = source.sample(6, "test", SHAPE, seeded("cpu", 2))
    assert torch.equal(one.query.x, same.query.x)
    assert torch.equal(one.query.y, same.query.y)
    assert not torch.equal(one.query.x, other.query.x)
    assert one.support.x.shape == (6, 2, LEAST, 6)
    for part in (one.support, one.query):
        assert ((part.y == BEGIN).sum(-1) == 1).all()
        assert (part.y != INSIDE).all()
        assert ((part.y >= 0) == (part.x[..., -1] > ASKED)).all()
        assert (part.x[..., -1] == MATCHED).any(-1).all(), "the subject is marked"


@pytest.mark.parametrize("split", SPLITS)
def test_a_window_shows_the_whole_story_and_a_question_of_one_word_besides_its_subject(
    source: StorySource, split: str
) -> None:
    for task in source.windows(8, split, SHAPE, seeded("cpu", 3)):
        asked = {one.question.split()[0] for one in task}
        assert len(asked) == 1, "the same word in the whole task"
        for one in task:
            assert one.answered().passage == one.text
            assert one.start == 0
            if split != "train":
                assert one.question.endswith("?")
                assert one.question.split()[0] not in one.text


def test_some_training_questions_have_no_answer_and_most_kinds_are_made_up(source: StorySource) -> None:
    tasks = source.windows(60, "train", TaskShape(1, 1, 5), seeded("cpu", 4))
    queries = [one for task in tasks for one in task[1:]]
    assert all(task[0].answer is not None for task in tasks)
    assert 0.04 < np.mean([one.answer is None for one in queries]) < 0.18
    known = set().union(*(set(held) for held in vocabulary("train").values()))
    told_by = {word for ways in TEMPLATES.values() for way in ways for word in words(way).plain}
    known = {word.lower() for word in known} | told_by | {"has", "someone", "for", "was", "by", "to", "of"}
    strange = [bool({w for w in words(task[0].text).plain if w[0].isalpha()} - known) for task in tasks]
    assert 0.4 < np.mean(strange) < 0.8


def test_made_up_kinds_repeat_and_differ() -> None:
    def drawn(seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        kind, relation = made_up_kind(rng, lambda: "dupak")
        stories = [told(rng, "train", kind.about, relation) for _ in range(5)]
        assert any(kind.find(held) for held in stories)
        return [held.text for held in stories]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_pretraining_labels_every_kind(source: StorySource) -> None:
    x, y = source.labelled_questions(8, seeded("cpu", 3))
    assert y.shape == (8, LEAST, source.n_train_classes)
    assert ((y == BEGIN).sum((1, 2)) >= 1).all()
    assert ((y >= 0).any(-1) == (x[..., -1] > ASKED)).all()
    assert ((y >= 0).any(-1) == (y >= 0).all(-1)).all()


def test_originals_of_splits_differ(source: StorySource) -> None:
    held = [{digest for own in source.originals(split).values() for digest in own} for split in SPLITS]
    assert all(len(one) > 100 for one in held)
    assert not held[0] & held[1]
    assert not held[0] & held[2]
    assert source.originals("test") == StorySource(LEAST).originals("test")


def test_what_cannot_be_drawn_is_said(source: StorySource) -> None:
    source.check(TaskShape(1, 50, 50), "test")
    with pytest.raises(DataError, match="way"):
        source.check(TaskShape(2, 1, 1), "test")
    with pytest.raises(DataError, match="no question of this split"):
        StorySource(LEAST, only=story_kinds_of("train")[0]).check(SHAPE, "test")
    with pytest.raises(DataError, match=str(LEAST)):
        StorySource(LEAST - 1)


def test_the_configuration_selects_stories() -> None:
    config = Config.create(application="question-answering", source="stories")
    assert isinstance(create_source(config), StorySource)
    only = story_kinds_of("test")[2]
    batch = StorySource(LEAST, only=only).sample(4, "test", SHAPE, seeded("cpu", 0))
    assert (batch.classes == only).all()
    with pytest.raises(ConfigError, match="stories"):
        Config.create(source="stories")
