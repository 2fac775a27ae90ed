"""Tasks of pairs of texts."""

from __future__ import annotations

import pytest
import torch
from writing_fixtures import language, toy_source, toy_vocabulary

from metalab.data.pairs import TARGET_LENGTH, Pair, PairSource, cut_short, padded, pair_examples
from metalab.data.subwords import END, PAD
from metalab.errors import DataError
from metalab.tasks import TaskShape, seeded, task_at


def test_tasks_are_of_one_group_and_hold_no_text_twice() -> None:
    source, shape = toy_source(), TaskShape(1, 5, 7)
    batch = source.sample(6, "test", shape, seeded("cpu", 0))
    texts = source.texts(6, "test", shape, seeded("cpu", 0))
    assert batch.support.x.shape[:2] == (6, 5)
    assert batch.query.y.shape[:2] == (6, 7)
    words = toy_vocabulary()
    for task, pairs in zip(batch, texts, strict=True):
        assert len({pair.source for pair in pairs}) == 12
        x, y = (torch.cat([getattr(part, name) for part in (task.support, task.query)]) for name in "xy")
        assert [words.decode(row.int().tolist()) for row in x] == [pair.source for pair in pairs]
        assert [words.decode(row.tolist()) for row in y] == [pair.target for pair in pairs]
        [name] = {name for name, held in source.pairs["test"].items() if set(pairs) <= set(held)}
        assert name in ("test 0", "test 1")
    again = source.sample(6, "test", shape, seeded("cpu", 0))
    assert torch.equal(again.support.x, batch.support.x)
    assert task_at(source, 3, "test", shape, 0).way == 1


def test_the_same_source_text_counts_once() -> None:
    pairs = [*language(0, 5), Pair(language(0, 5)[0].source, "another translation")]
    source = PairSource("own", {"test": {"all": pairs}}, toy_vocabulary(), 48)
    with pytest.raises(DataError, match="6 pairs are needed, the largest group has 5"):
        source.check(TaskShape(1, 5, 1), "test")
    source.check(TaskShape(1, 4, 1), "test")
    with pytest.raises(DataError, match="one group"):
        source.check(TaskShape(2, 1, 1), "test")


def test_texts_end_are_cut_and_cuts_are_told() -> None:
    pairs = [Pair("abc", "abc"), Pair("abc " * 60, "abc"), Pair("abc", "abc " * 60)]
    held = pair_examples(pairs, toy_vocabulary(), 48)
    assert held.x.shape == (3, 48)
    assert held.y.shape == (3, TARGET_LENGTH)
    ends = (held.y == END).int()
    assert ends.sum(1).tolist() == [1, 1, 1]
    assert torch.equal((held.y == PAD).int().cummax(1).values[:, 1:], (ends.cumsum(1))[:, :-1].clamp(max=1))
    assert cut_short(pairs, toy_vocabulary(), 48) == ([1], [2])
    assert padded([]).shape == (0, 8)


def test_meta_train_pairs_know_their_group() -> None:
    source = toy_source()
    pairs, groups = source.labelled_pairs(40, seeded("cpu", 1))
    assert set(groups.tolist()) <= set(range(8))
    words, names = toy_vocabulary(), list(source.pairs["train"])
    for x, y, group in zip(pairs.x, pairs.y, groups.tolist(), strict=True):
        assert (
            Pair(words.decode(x.int().tolist()), words.decode(y.tolist()))
            in source.pairs["train"][names[group]]
        )


def test_originals_tell_splits_apart() -> None:
    source = toy_source()
    train, test = (
        {digest for held in source.originals(split).values() for digest in held}
        for split in ("train", "test")
    )
    assert train
    assert test
    assert not train & test
