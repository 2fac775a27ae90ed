"""Made-up stories in the manner of bAbI (Weston et al. 2015): facts in plain sentences, and what they answer.

A story is simulated, so its answers are right by construction; each is a word of the story. A *kind* of
question is one class of tasks; families of kinds that resemble each other are never in two splits, nor are
the facts that only they rest on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from metalab.data.story_words import vocabulary
from metalab.tasks import Split

Place = tuple[str, int, int]
"""A word of the story: it is text[start:end]."""


@dataclass(frozen=True)
class Fact:
    """One sentence: its relation, and the words that fill its slots."""

    relation: str
    slots: dict[str, Place]


@dataclass
class Story:
    """A story in the making: its text, a sentence a line, and what it has told."""

    text: str = ""
    facts: list[Fact] = field(default_factory=list)

    def tell(self, relation: str, template: str, **slots: str) -> None:
        """Add a sentence; every ``{slot}`` of ``template`` stands there once."""
        places, sentence = {}, "\n" if self.text else ""
        for part in template.replace("}", "{").split("{"):
            if part in slots:
                begin = len(self.text) + len(sentence)
                places[part] = (slots[part], begin, begin + len(slots[part]))
            sentence += slots.get(part, part)
        self.text += sentence
        self.facts.append(Fact(relation, places))


TEMPLATES: dict[str, tuple[str, ...]] = {
    "move": (
        "{who} went to the {place}.",
        "{who} walked to the {place}.",
        "On {day} {who} travelled to the {place}.",
    ),
    "take": ("{who} took the {what}.", "{who} picked up the {what}."),
    "drop": ("{who} put down the {what}.", "{who} dropped the {what}."),
    "give": ("{who} gave the {what} to {to}.", "{who} handed the {what} to {to}."),
    "colour": ("The {what} is {value}.", "Its owner painted the {what} {value}."),
    "material": ("The {what} is made of {value}.",),
    "job": ("{who} is a {value}.", "{who} works as a {value}."),
    "likes": ("{who} likes {value}.", "{who} often eats {value}."),
    "count": ("There are {value} {what} in the {place}.",),
    "north": ("The {place} is north of the {of}.",),
    "age": ("{who} is {value} years old.",),
    "price": ("The {what} costs {value} coins.", "Someone paid {value} coins for the {what}."),
    "kin": ("{who} is the sister of {of}.", "{who} is the cousin of {of}."),
    "fear": ("Every {what} is afraid of the {of}.",),
    "is": ("{who} is a {what}.",),
}
"""How each relation is told; of several ways one is drawn for each sentence."""
CATEGORY = {
    "who": "person", "to": "person", "place": "place", "day": "day", "what": "thing",
    "colour value": "colour", "material value": "material", "job value": "job", "likes value": "food",
    "count value": "number", "count what": "animal", "north of": "place", "age value": "number",
    "price value": "number", "kin of": "person", "fear what": "beast", "fear of": "beast", "is what": "beast",
}  # fmt: skip
"""What fills a slot, of one relation or of all."""
EVENTS = ("move", "take", "drop", "give")
TOLD: dict[Split, tuple[str, ...]] = {
    "train": ("colour", "material", "job", "likes", "count", "north"),
    "validation": ("colour", "job", "likes", "age"),
    "test": ("colour", "job", "price", "kin", "fear", "is"),
}
"""Relations of each split, besides :data:`EVENTS`."""

Answered = list[tuple[str, Place]]
"""What a kind of question can be asked about in a story, and the answers."""


def _last(relations: dict[str, tuple[str, str | None]], at: int = -1) -> Callable[[Story], Answered]:
    """Answer by the facts of ``relations`` (given slot, wanted slot): the last one about a subject, the one
    before (``at`` -2), or the first (0). A wanted slot of None says that there is no answer any more."""

    def find(story: Story) -> Answered:
        found: dict[str, list[Place | None]] = {}
        for fact in story.facts:
            if fact.relation in relations:
                given, wanted = relations[fact.relation]
                if given in fact.slots and (wanted is None or wanted in fact.slots):
                    answer = None if wanted is None else fact.slots[wanted]
                    found.setdefault(fact.slots[given][0], []).append(answer)
        fit = {subject: held for subject, held in found.items() if len(held) >= max(1, -at)}
        return [(subject, held[at]) for subject, held in fit.items() if held[at] is not None]

    return find


_HOLDER = _last({"take": ("what", "who"), "give": ("what", "to"), "drop": ("what", None)})


def _carried(story: Story) -> Answered:
    """What a person holds, if it is one thing: the word by which it came to them."""
    held: dict[str, list[Place]] = {}
    for thing, (who, _, _) in _HOLDER(story):
        last = [f for f in story.facts if f.relation in EVENTS and f.slots.get("what", ("",))[0] == thing][-1]
        held.setdefault(who, []).append(last.slots["what"])
    return [(who, places[0]) for who, places in held.items() if len(places) == 1]


def _object_place(story: Story) -> Answered:
    """Where a thing is: where its holder went last, or was when putting it down."""
    where: dict[str, Place] = {}
    holder: dict[str, str] = {}
    lies: dict[str, Place] = {}
    for fact in story.facts:
        who = fact.slots.get("who", ("",))[0]
        if fact.relation == "move":
            where[who] = fact.slots["place"]
        elif fact.relation in ("take", "give"):
            holder[fact.slots["what"][0]] = fact.slots.get("to", fact.slots["who"])[0]
            lies.pop(fact.slots["what"][0], None)
        elif fact.relation == "drop":
            holder.pop(fact.slots["what"][0], None)
            if who in where:
                lies[fact.slots["what"][0]] = where[who]
    held = {thing: where[who] for thing, who in holder.items() if who in where}
    return list({**lies, **held}.items())


def _after(story: Story) -> Answered:
    """Where a person went after a place: the subject names both."""
    found: dict[str, list[Place]] = {}
    for fact in story.facts:
        if fact.relation == "move":
            found.setdefault(fact.slots["who"][0], []).append(fact.slots["place"])
    return [
        (f"{who} {before[0]}", after)
        for who, places in found.items()
        for number, (before, after) in enumerate(itertools.pairwise(places))
        if before[0] not in [other[0] for other in places[number + 1 :]]
    ]


def _feared(story: Story) -> Answered:
    """What somebody is afraid of: by what they are."""
    fears = {fact.slots["what"][0]: fact.slots["of"] for fact in story.facts if fact.relation == "fear"}
    animals = [fact.slots for fact in story.facts if fact.relation == "is"]
    return [(slots["who"][0], fears[slots["what"][0]]) for slots in animals if slots["what"][0] in fears]


@dataclass(frozen=True)
class StoryKind:
    """A kind of question: its name, family, a plain wording, how a story answers it, and the relations that
    its stories tell most."""

    name: str
    family: str
    wording: str
    find: Callable[[Story], Answered]
    about: tuple[str, ...]


def _told(
    name: str, family: str, wording: str, relation: str, given: str, wanted: str, at: int = -1
) -> StoryKind:
    about = ("take", "give") if relation == "give" else (relation,)  # nobody gives what they have not got
    return StoryKind(name, family, wording, _last({relation: (given, wanted)}, at), about)


STORY_KINDS = (
    _told("where a person is", "place", "Where is {}?", "move", "who", "place"),
    _told("where a person went first", "place", "Where did {} go first?", "move", "who", "place", 0),
    _told("day of a journey", "day", "When did {} travel?", "move", "who", "day"),
    _told("colour of a thing", "attribute", "What colour is the {}?", "colour", "what", "value"),
    _told("material of a thing", "attribute", "What is the {} made of?", "material", "what", "value"),
    _told("job of a person", "attribute", "What is the job of {}?", "job", "who", "value"),
    _told("favourite food", "attribute", "What does {} eat?", "likes", "who", "value"),
    _told("who gave a thing", "giving", "Who gave the {}?", "give", "what", "who"),
    _told("who received a thing", "giving", "Who received the {}?", "give", "what", "to"),
    _told("number of animals", "number", "How many {} are there?", "count", "what", "value"),
    _told("what lies north", "direction", "What is north of the {}?", "north", "of", "place"),
    _told("what lies south", "direction", "What is south of the {}?", "north", "place", "of"),
    _told("where a person was before", "before", "Where was {} before?", "move", "who", "place", -2),
    _told("age of a person", "age", "How old is {}?", "age", "who", "value"),
    _told("who has a job", "reverse", "Who is the {}?", "job", "value", "who"),
    _told("who eats a food", "reverse", "Who eats {}?", "likes", "value", "who"),
    StoryKind("who has a thing", "holding", "Who has the {}?", _HOLDER, ("take", "give", "drop")),
    StoryKind("what a person carries", "holding", "What does {} carry?", _carried, ("take", "give")),
    StoryKind("where a thing is", "thing", "Where is the {}?", _object_place, ("move", "take", "drop")),
    StoryKind("where a person went after", "after", "Where did {} go from there?", _after, ("move", "move")),
    _told("who came last to a place", "visitor", "Who came to the {}?", "move", "place", "who"),
    _told("price of a thing", "price", "What does the {} cost?", "price", "what", "value"),
    _told("whose relative", "kin", "Whose relative is {}?", "kin", "who", "of"),
    StoryKind("what is feared", "fear", "What is {} afraid of?", _feared, ("fear", "is")),
)
STORY_HELD_OUT: dict[Split, tuple[str, ...]] = {
    "validation": ("before", "age", "reverse"),
    "test": ("holding", "thing", "after", "visitor", "price", "kin", "fear"),
}
"""The families of each split; all others are meta-train's."""


def story_kinds_of(split: Split) -> list[int]:
    """Return the numbers of the kinds of ``split``."""
    held = {family: name for name, families in STORY_HELD_OUT.items() for family in families}
    return [i for i, kind in enumerate(STORY_KINDS) if held.get(kind.family, "train") == split]


LENGTH = (7, 15)
"""Fewest and most sentences of a story."""
ABOUT = 0.45
"""Share of sentences that tell what a kind is about."""


@dataclass(frozen=True)
class MadeUp:
    """A relation whose word means nothing: ways in which it is told, and what fills its slots."""

    templates: tuple[str, ...]
    categories: dict[str, str]


FORMS: tuple[tuple[dict[str, str], tuple[str, ...]], ...] = (
    (
        {"what": "thing", "value": ""},
        (
            "The <w> of the {what} is {value}.",
            "The {what} <w> {value}.",
            "Someone <w> {value} for the {what}.",
            "The {what} has {value} <w>.",
        ),
    ),
    (
        {"who": "person", "value": ""},
        ("{who} <w> {value}.", "The <w> of {who} is {value}.", "{who} is {value} <w>."),
    ),
    (
        {"who": "person", "of": "person"},
        ("{who} <w> {of}.", "{who} is the <w> of {of}.", "{of} was <w> by {who}."),
    ),
    ({"who": "person", "what": "thing"}, ("{who} <w> the {what}.", "The {what} was <w> by {who}.")),
    (
        {"who": "person", "what": "thing", "to": "person"},
        ("{who} <w> the {what} to {to}.", "{who} <w> {to} the {what}."),
    ),
    ({"who": "person", "place": "place"}, ("{who} <w> the {place}.", "The {place} was <w> by {who}.")),
    ({"place": "place", "of": "place"}, ("The {place} is <w> of the {of}.", "The {place} <w> the {of}.")),
)
"""What made-up relations are like; ``<w>`` is their word, and a category of "" is any of :data:`VALUES`."""
VALUES = ("colour", "material", "food", "number", "animal", "job", "day")
OCCURRENCES = (-1, -1, -1, -2, 0)
"""Of the facts about a subject, which one a made-up kind asks for: the last, the one before it, the first."""


def made_up_kind(rng: np.random.Generator, word: Callable[[], str]) -> tuple[StoryKind, MadeUp]:
    """Draw a kind of question about a relation told by words of ``word`` that mean nothing."""
    categories, forms = FORMS[rng.integers(len(FORMS))]
    chosen = rng.permutation(len(forms))[: rng.integers(1, 3)]
    templates = tuple(forms[at].replace("<w>", word()) for at in chosen)
    value = VALUES[rng.integers(len(VALUES))]
    given, wanted = (list(categories)[at] for at in rng.permutation(len(categories))[:2])
    find = _last({"made-up": (given, wanted)}, OCCURRENCES[rng.integers(len(OCCURRENCES))])
    relation = MadeUp(templates, {slot: of or value for slot, of in categories.items()})
    return StoryKind("made up", "made up", "", find, ("made-up",)), relation


def told(
    rng: np.random.Generator, split: Split, about: tuple[str, ...], made_up: MadeUp | None = None
) -> Story:
    """Tell a story of ``split`` with many facts of ``about``; the relation "made-up" is ``made_up``."""
    return _Teller(rng, split, about, made_up).story()


class _Teller:
    """Simulates who is where and has what."""

    def __init__(
        self, rng: np.random.Generator, split: Split, about: tuple[str, ...], made_up: MadeUp | None
    ) -> None:
        self.rng, self.about, self.made_up = rng, about, made_up
        self.others = (*EVENTS, *EVENTS, *TOLD[split])
        # A cast of few words, so that they come again; attributes are told once of each.
        self.cast = {
            category: rng.permutation(words)[: 4 if category in ("person", "thing", "place") else len(words)]
            for category, words in vocabulary(split).items()
        }
        self.holder: dict[str, str] = {}
        self.where: dict[str, str] = {}
        self.said: set[tuple[str, ...]] = set()
        self.held = Story()

    def story(self) -> Story:
        """Return it."""
        length = int(self.rng.integers(LENGTH[0], LENGTH[1] + 1))
        for _ in range(10 * length):
            if len(self.held.facts) >= length:
                break
            focus = self.rng.random() < ABOUT
            self._say(self._one(self.about if focus else self.others))
        return self.held

    def _one(self, words: tuple[str, ...] | np.ndarray) -> str:
        return str(words[self.rng.integers(len(words))])

    def _word(self, relation: str, slot: str) -> str:
        return self._one(self.cast[CATEGORY.get(f"{relation} {slot}") or CATEGORY[slot]])

    def _say(self, relation: str) -> None:
        """Tell a fact of ``relation``, if it can be one."""
        if relation == "made-up":
            template = self._one(self.made_up.templates)
            slots = {slot: self._one(self.cast[of]) for slot, of in self.made_up.categories.items()}
        else:
            template = self._one(TEMPLATES[relation])
            slots = {slot: self._word(relation, slot) for slot in _slots(template)}
        if len(set(slots.values())) < len(slots) or not self._can(relation, slots):
            return
        self.held.tell(relation, template, **slots)

    def _can(self, relation: str, slots: dict[str, str]) -> bool:
        """Return whether the fact may be, and remember it."""
        if relation == "move":
            if self.where.get(slots["who"]) == slots["place"]:
                return False
            self.where[slots["who"]] = slots["place"]
        elif relation in EVENTS:
            who, what = slots["who"], slots["what"]
            if self.holder.get(what) != (None if relation == "take" else who):
                return False
            self.holder[what] = slots.get("to", who)
            if relation == "drop":
                del self.holder[what]
        elif relation != "made-up":  # lasting: said once of anyone and anything
            keys = {(relation, slot, word) for slot, word in slots.items() if slot != "day"}
            if keys & self.said:
                return False
            self.said |= keys
        return True


def _slots(template: str) -> list[str]:
    return template.replace("}", "{").split("{")[1::2]
