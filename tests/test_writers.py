"""The writer, how it is asked for texts, and the meta-learners that adapt it."""

from __future__ import annotations

import pytest
import torch
from writing_fixtures import toy_source, toy_vocabulary

from metalab.api import create_metalearner
from metalab.backbones import create_backbone
from metalab.backbones.writer import CODE, Writer
from metalab.config import Config
from metalab.data.subwords import END, PAD, SIZE, START
from metalab.execution import task_runner
from metalab.metalearners.base import MetaLearner
from metalab.pretraining import pretrain
from metalab.tasks import Examples, TaskShape, seeded, task_at
from metalab.training import Trainer
from metalab.writing import likelihoods, likeliness, next_word, write, writing_loss

NAMES = ("translate-code", "translate-cavia", "translate-maml")


def config(**fields: object) -> Config:
    return Config.create(application="translation", width=32, pretrained="none", **fields)


@pytest.fixture(scope="module")
def writer() -> Writer:
    torch.manual_seed(0)
    made = create_backbone(config())
    with torch.no_grad():
        made.params()["copy_gate"].normal_()
    return made.eval()


@pytest.fixture
def texts() -> Examples:
    return task_at(toy_source(), 0, "train", TaskShape(1, 6, 1), 0).support


def test_bit_by_bit_is_all_at_once(writer: Writer, texts: Examples) -> None:
    params, film = writer.params(), writer.film_of(writer.params(), torch.randn(CODE))
    memory = writer.read(params, texts.x, film)
    ids = texts.y[:, :6]
    whole, _ = writer.write(params, memory, ids, film)
    past, parts = None, []
    for step in (slice(0, 1), slice(1, 4), slice(4, 5), slice(5, 6)):
        h, past = writer.write(params, memory, ids[:, step], film, past)
        parts.append(h)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)


def test_the_chances_of_what_follows_sum_to_one_and_are_the_likelihoods(
    writer: Writer, texts: Examples
) -> None:
    params = writer.params()
    memory = writer.read(params, texts.x)
    likelihood = likelihoods(writer, params, memory, texts.y)
    first, past = next_word(writer, params, memory, torch.full((6, 1), START))
    torch.testing.assert_close(first.exp().sum(1), torch.ones(6), atol=0.05, rtol=0)  # less PAD and START
    torch.testing.assert_close(first.gather(1, texts.y[:, :1])[:, 0], likelihood[:, 0], rtol=1e-4, atol=1e-4)
    second, _ = next_word(writer, params, memory, texts.y[:, :1], past=past)
    torch.testing.assert_close(
        second.gather(1, texts.y[:, 1:2])[:, 0], likelihood[:, 1], rtol=1e-4, atol=1e-4
    )


def test_padding_changes_nothing(writer: Writer, texts: Examples) -> None:
    params = writer.params()
    more = torch.nn.functional.pad(texts.x, (0, 8))
    plain, wide = (likelihoods(writer, params, writer.read(params, x), texts.y) for x in (texts.x, more))
    torch.testing.assert_close(plain, wide, rtol=1e-4, atol=1e-4)
    longer = torch.nn.functional.pad(texts.y, (0, 8))
    held = likelihoods(writer, params, writer.read(params, texts.x), longer)
    assert writing_loss(held, longer).item() == pytest.approx(writing_loss(plain, texts.y).item(), rel=1e-4)
    assert likeliness(held, longer).item() == pytest.approx(likeliness(plain, texts.y).item(), rel=1e-4)


def test_more_beams_find_no_worse_text_and_one_is_greedy(writer: Writer, texts: Examples) -> None:
    params = writer.params()
    memory = writer.read(params, texts.x)
    greedy, _chance = write(writer, params, memory, beams=1, length=10)
    ids, past, held = torch.full((6, 1), START), None, []
    for _ in range(10):
        chances, past = next_word(writer, params, memory, ids, past=past)
        ids = chances.argmax(1, keepdim=True)
        held.append(ids)
    expected = torch.cat(held, 1)
    ended = ((expected == END).cumsum(1) - (expected == END).int()) > 0
    assert torch.equal(greedy[:, 0], expected.masked_fill(ended, PAD))
    texts_found, scores = write(writer, params, memory, beams=4, length=10)
    assert texts_found.shape == (6, 4, 10)
    assert len({tuple(row) for row in texts_found[0].tolist()}) == 4
    for row in range(6):
        target = texts_found[row : row + 1, 0]
        own = likelihoods(writer, params, memory.chosen(torch.tensor([row])), target)[target != PAD]
        assert own.mean().item() == pytest.approx(scores[row, 0].item(), abs=1e-3)


@pytest.fixture(scope="module")
def pretrained() -> Writer:
    made = create_backbone(config())
    events = list(pretrain(made, toy_source(), config(pretrain_steps=120)))
    assert events[-1].loss < events[0].loss - 1
    return made


def made_learner(name: str, backbone: Writer) -> MetaLearner:
    options = {} if name == "translate-code" else {"inner_steps": 3}
    return create_metalearner(name, backbone, seed=0, **options)


def test_pretraining_repeats() -> None:
    first, second = (
        [event.loss for event in pretrain(made, toy_source(), config(pretrain_steps=10))]
        for made in (_made(), _made())
    )
    assert first == second


def _made() -> Writer:
    torch.manual_seed(3)
    return create_backbone(config())


@pytest.mark.parametrize("name", NAMES)
def test_adapting_makes_the_language_likelier(name: str, pretrained: Writer) -> None:
    learner = made_learner(name, pretrained)
    if name == "translate-code":  # its network has to learn first
        asked = config(metalearner=name, steps=20, meta_batch=4, validate_every=20, validation_tasks=8)
        validations = [
            e.accuracy for e in Trainer(learner, toy_source(), asked).run() if e.kind == "validation"
        ]
        assert validations[-1] > validations[0]
    task = task_at(toy_source(), 0, "test", TaskShape(1, 10, 5), 0)
    state = learner.adapt(task.support, 1)
    with torch.no_grad():
        before = learner.support_loss({"code": learner.no_code()}, task.query)
        after = learner.support_loss(state, task.query)
        assert after < before
        found = learner.predict(state, task.query.x)
    assert found.shape[0] == 5
    assert found.dtype == torch.int64
    assert not (found >= SIZE).any()
    assert isinstance(toy_vocabulary().decode(found[0].tolist()), str)


@pytest.mark.parametrize("name", NAMES)
def test_masked_examples_have_no_say(name: str, pretrained: Writer) -> None:
    learner = made_learner(name, pretrained)
    support = task_at(toy_source(), 0, "test", TaskShape(1, 6, 1), 0).support
    query = task_at(toy_source(), 1, "test", TaskShape(1, 6, 1), 0).support
    mask = torch.tensor([True, True, True, True, False, False])
    few = Examples(support.x[:4], support.y[:4])
    with torch.no_grad():
        expected = learner.forward(few, query, 1)[1]
        masked = learner.forward(Examples(support.x, support.y, mask), query, 1)[1]
    shown = query.y != PAD
    torch.testing.assert_close(masked[shown], expected[shown], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_every_way_of_running_gives_the_same_gradient(name: str, pretrained: Writer) -> None:
    learner = made_learner(name, pretrained)
    batch = toy_source().sample(2, "train", TaskShape(1, 3, 2), seeded("cpu", 0))
    parameters = list(learner.parameters())
    found = {}
    for strategy in ("loop", "threads", "vmap"):
        with task_runner(strategy) as runner:
            found[strategy] = runner.meta_gradient(learner, batch, parameters)
    for strategy in ("threads", "vmap"):
        for own, other in zip(found[strategy][2], found["loop"][2], strict=True):
            torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-5)
