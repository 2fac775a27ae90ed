"""Drafts of summaries, what a chooser sees of them, and the chooser itself."""

from __future__ import annotations

import random

import pytest
import torch

from metalab.api import create_metalearner
from metalab.backbones import create_backbone
from metalab.config import Config
from metalab.data.pairs import TARGET_LENGTH, Pair, PairSource, pair_examples
from metalab.data.subwords import vocabulary
from metalab.draft_features import NAMES, agreement
from metalab.drafting import Drafter
from metalab.drafts import MOST, Kind, drafts
from metalab.metalearners.summary_choice import SummaryChooser
from metalab.tasks import Examples, TaskShape, task_list
from metalab.training import Trainer

SUPPORT = [
    Pair("graph: remove node\nThe node and its edges vanish.", "Removes a node from the graph."),
    Pair("graph: add path\nThe path may have any length.", "Adds a path to the graph."),
]
DOCUMENT = (
    "graph: remove edge\nIf it is not there, nothing happens, which is no error.\n"
    "Returns:\nfound : bool Whether there was such an edge."
)
VERBS = {"removes": "Remove", "adds": "Add", "finds": "Find", "counts": "Count"}
THINGS = ("node", "edge", "path", "cycle", "tree", "leaf", "graph", "weight", "colour", "label")


def style(seed: int, count: int = 40) -> list[Pair]:
    """Documents of which a style sums up the title, or the second sentence, always the same."""
    draw = random.Random(seed)
    second, made = draw.random() < 0.5, []
    for _ in range(count):
        (does, verb), thing, other = (draw.choice(list(VERBS.items())), *draw.sample(THINGS, 2))
        number = draw.randrange(1000)
        said = f"The {other} {does} what is number {number} of many."
        title = f"{verb.lower()} {thing} {number}"
        body = f"Nothing is said here about it at all.\n{said}"
        made.append(Pair(f"{title}\n{body}", said if second else f"{verb} the {thing} {number}."))
    return made


@pytest.fixture(scope="module")
def chooser() -> SummaryChooser:
    config = Config.create(application="summarisation", width=16, image_size=48, pretrained="none")
    return create_metalearner("summarise-choose", create_backbone(config), seed=0)


def test_drafts_take_the_examples_style() -> None:
    held = {draft.text: draft.kind for draft in drafts(SUPPORT, DOCUMENT, ["Written."])}
    assert held["Written."] == Kind.WRITTEN
    assert held["Removes the edge."] == Kind.OPENED_TITLE, "the third person, as in the examples"
    assert held["Removes a edge from the graph."] == Kind.SWAPPED
    assert held["Removes a node from the graph."] == Kind.EXAMPLE
    assert held["Returns whether there was such an edge."] == Kind.RETURNS
    assert "Remove the edge." in {draft.text for draft in drafts([], DOCUMENT)}, "no example: the imperative"


@pytest.mark.parametrize("document", ["", "x", "...", "a: b", "日本語の文書です。", "A. " * 500])
def test_any_document_has_few_different_drafts(document: str) -> None:
    for support in ([], SUPPORT):
        texts = [draft.text.lower() for draft in drafts(support, document)]
        assert len(texts) == len(set(texts)) <= MOST


def test_agreement_is_of_different_words() -> None:
    held = agreement([["a", "b"], ["b", "b"], []])
    assert held[0, 1] == pytest.approx(2 / 3)
    assert held[0, 0] == 1
    assert held[2].tolist() == [0, 0, 0]


def test_each_example_does_without_its_own_summary(chooser: SummaryChooser) -> None:
    words = vocabulary("documents")
    support = pair_examples(SUPPORT, words, 48)
    drafter = Drafter(chooser.backbone)
    held = drafter.candidates(support, support.x, support.y, True)
    assert held.features.shape[2] == len(NAMES)
    told = [
        {words.decode(ids) for ids, there in zip(rows, mask, strict=True) if there}
        for rows, mask in zip(held.ids.tolist(), held.mask.tolist(), strict=True)
    ]
    for own, pair in zip(told, SUPPORT, strict=True):
        assert pair.target not in own
    assert (held.gains[held.mask] < 1).all()
    again = drafter.candidates(support, support.x, support.y, True)
    assert all(torch.equal(*both) for both in zip(held, again, strict=True)), "what is remembered is the same"


def test_a_changed_writer_is_asked_again(chooser: SummaryChooser) -> None:
    support = pair_examples(SUPPORT, vocabulary("documents"), 48)
    writer = create_backbone(Config.create(application="summarisation", width=16, image_size=48))
    drafter = Drafter(writer)
    before = drafter.candidates(support, support.x, None, False).features
    with torch.no_grad():
        writer.params()["out_bias"].normal_()
    assert not torch.equal(before, drafter.candidates(support, support.x, None, False).features)


def test_the_chooser_learns_a_new_style(chooser: SummaryChooser) -> None:
    splits = {
        split: {f"{split} {seed}": style(first + seed) for seed in range(12)}
        for split, first in (("train", 0), ("validation", 100), ("test", 200))
    }
    source = PairSource("styles", splits, vocabulary("documents"), 48)
    config = Config.create(
        application="summarisation",
        steps=25,
        meta_batch=4,
        shot=3,
        query=4,
        validate_every=25,
        validation_tasks=8,
        lr=5e-3,
    )
    history = list(Trainer(chooser, source, config).run())
    looks = [item.accuracy for item in history if item.kind == "validation"]
    assert looks[-1] > looks[0]
    shape = TaskShape(1, 3, 6)
    batch = next(iter(task_list(source, 8, "test", shape, 5, "cpu")))
    with torch.no_grad():
        after = [chooser.score(chooser.trial(t.support, t.query, 1), t.query).item() for t in batch]
        plain = [_without_examples(chooser, t.query) for t in batch]
    assert sum(after) > sum(plain) + 0.3


def _without_examples(chooser: SummaryChooser, query: Examples) -> float:
    state = chooser.without_examples()
    held = chooser.candidates(state, query.x, query.y)
    best = chooser.scores(state, held).argmax(1, keepdim=True)
    return held.gains.gather(1, best).mean().item()


def test_outputs_are_texts_and_states_are_tensors(chooser: SummaryChooser) -> None:
    support = pair_examples(SUPPORT, vocabulary("documents"), 48)
    with torch.no_grad():
        state = chooser.adapt(support, 1)
        found = chooser.predict(state, support.x)
        none = chooser.predict(chooser.without_examples(), support.x)
    assert found.shape == none.shape == (2, TARGET_LENGTH)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert not any(name in state for name in chooser.backbone.params()), "nothing hides the writer's own"


def test_a_frozen_writer_stays_as_it_is(chooser: SummaryChooser) -> None:
    fresh = create_backbone(Config.create(application="summarisation", width=16, image_size=48))
    assert all(torch.equal(value, fresh.params()[name]) for name, value in chooser.backbone.params().items())
