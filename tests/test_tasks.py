"""Properties of task sampling: fixed lists, distinct classes, no example in support and query."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metalab.data.pool import PoolSource
from metalab.data.sampling import choose_classes
from metalab.errors import DataError
from metalab.tasks import SPLITS, Examples, TaskShape, seeded, task_at, task_list


def pool(episodes: str = "within", rotations: bool = False) -> PoolSource:
    """Nine classes of 8 images; the first pixel names the class, the second the drawing."""
    labels = torch.arange(9).repeat_interleave(8)
    images = torch.zeros(72, 1, 4, 4)
    images[:, 0, 0, 0], images[:, 0, 1, 1] = labels.float(), torch.arange(72).float()
    splits = {
        "train": {"a": [0, 1, 2], "b": [3, 4]},
        "validation": {"c": [5, 6]},
        "test": {"d": [7, 8]},
    }
    return PoolSource("pool", images, labels, [f"k{i}" for i in range(9)], splits, episodes, rotations)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shot=st.integers(1, 4),
    query=st.integers(1, 4),
    split=st.sampled_from(SPLITS),
    episodes=st.sampled_from(["within", "mixed"]),
)
def test_tasks_are_what_they_promise(seed: int, shot: int, query: int, split: str, episodes: str) -> None:
    source, shape = pool(episodes), TaskShape(2, shot, query)
    batch = source.sample(5, split, shape, seeded("cpu", seed))
    held = {i // 4 for ids in source.groups(split).values() for i in ids}
    for task in batch:
        classes = (task.classes // 4).tolist()
        assert len(set(classes)) == 2
        assert set(classes) <= held
        if episodes == "within":
            assert any({4 * c for c in classes} <= set(ids) for ids in source.groups(split).values())
        for examples, each in ((task.support, shot), (task.query, query)):
            assert torch.bincount(examples.y).tolist() == [each, each]
            shown = examples.x[:, 0, 0, 0].long().tolist()
            assert shown == [classes[label] for label in examples.y.tolist()], "labels fit the images"
        drawings = torch.cat([task.support.x, task.query.x])[:, 0, 1, 1].tolist()
        assert len(set(drawings)) == len(drawings), "no drawing twice in a task"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 30), index=st.integers(0, 29))
def test_a_list_is_named_by_its_seed(seed: int, n: int, index: int) -> None:
    source, shape = pool(), TaskShape(2, 1, 2)

    def drawings(n: int) -> torch.Tensor:
        return torch.cat([batch.query.x for batch in task_list(source, n, "train", shape, seed)])

    whole = drawings(30)
    assert torch.equal(drawings(n), whole[:n])
    assert torch.equal(task_at(source, index, "train", shape, seed).query.x, whole[index])


def test_splits_draw_from_different_streams() -> None:
    a, b = (torch.rand(4, generator=seeded("cpu", 0, split)) for split in ("train", "test"))
    assert not torch.equal(a, b)


def test_no_global_seed_is_read_or_changed() -> None:
    source, shape = pool(), TaskShape(2, 1, 2)
    torch.manual_seed(1)
    first = source.sample(3, "train", shape, seeded("cpu", 0))
    expected = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), expected)
    torch.manual_seed(2)
    assert torch.equal(source.sample(3, "train", shape, seeded("cpu", 0)).query.x, first.query.x)


def test_turned_classes_exist_in_training_alone() -> None:
    source = pool(rotations=True)
    assert source.n_train_classes == 20
    assert len(source.groups("train")["a"]) == 12
    assert source.groups("test")["d"] == [28, 32]
    assert source.class_name(1) == "k0 90°"
    assert source.largest_way("train") == 12
    assert pool("mixed", rotations=True).largest_way("train") == 20
    batch = source.sample(200, "train", TaskShape(2, 1, 1), seeded("cpu", 0))
    for task in batch:
        turn = int(task.classes[0] % 4)
        row, column = [(0, 0), (3, 0), (3, 3), (0, 3)][turn]
        assert task.support.x[0, 0, row, column] == task.classes[0] // 4


def test_too_few_classes_say_what_to_do() -> None:
    with pytest.raises(DataError, match="at most 3, or mixed"):
        choose_classes([torch.arange(3), torch.arange(3, 5)], 2, 4, seeded("cpu", 0))
    with pytest.raises(DataError, match="at most 3, or episodes to 'mixed'"):
        pool().check(TaskShape(4, 1, 1), "train")
    pool("mixed").check(TaskShape(5, 1, 1), "train")


def test_masks_weigh_examples() -> None:
    x, y = torch.zeros(3, 1), torch.zeros(3, dtype=torch.long)
    assert Examples(x, y).weights().tolist() == [1, 1, 1]
    assert Examples(x, y, torch.tensor([True, False, True])).weights().tolist() == [1, 0, 1]
