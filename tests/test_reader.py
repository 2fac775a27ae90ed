"""The reader, and meta-learners of answers: shapes, padding, film, purity, learning from a few examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metalab.api import create_metalearner
from metalab.backbones import build, describe
from metalab.backbones.reader import DILATIONS, Reader
from metalab.baselines_text import ANSWER_BASELINES
from metalab.data.numpydoc import KINDS
from metalab.data.questions import BEGIN, QuestionSource
from metalab.metalearners import metalearners
from metalab.metalearners.base import score
from metalab.metalearners.tokens import LABELS, token_examples
from metalab.spans import span_f1
from metalab.tasks import Examples, Task, TaskShape, seeded

NAMES = list(metalearners("question-answering"))


@pytest.fixture(scope="module")
def task() -> Task:
    shape = next(i for i, kind in enumerate(KINDS) if kind.name == "shape")  # answers of several tokens
    return QuestionSource(96, only=shape).sample(1, "test", TaskShape(1, 3, 4), seeded("cpu", 5))[0]


@pytest.fixture(scope="module")
def reader() -> Reader:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Reader(size=96, width=32).eval()


def test_features_are_those_of_tokens_whatever_the_padding(reader: Reader, task: Task) -> None:
    x = task.support.x.clone()
    x[:, 60:] = 0
    features = reader.tokens(reader.params(), x)
    assert features.shape == (3, 96, 32)
    short = reader.tokens(reader.params(), x[:, :60])
    torch.testing.assert_close(features[:, :60], short, rtol=1e-4, atol=1e-5)
    alone = reader.tokens(reader.params(), x[:1])
    torch.testing.assert_close(features[:1], alone, rtol=1e-4, atol=1e-5)  # inductive
    assert reader(x).shape == (3 * 96, 32)


def test_a_described_reader_is_built_again(reader: Reader, task: Task) -> None:
    again = build(describe(reader))
    again.load_state_dict(reader.state_dict())
    torch.testing.assert_close(again.eval()(task.support.x), reader(task.support.x))


def test_zero_film_changes_nothing_and_other_film_does(reader: Reader, task: Task) -> None:
    def film(value: float) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(torch.full((32,), value), torch.zeros(32)) for _ in DILATIONS]

    plain = reader(task.support.x)
    torch.testing.assert_close(reader.extract(reader.params(), task.support.x, film(0.0)), plain)
    assert (reader.extract(reader.params(), task.support.x, film(1.0)) - plain).abs().max() > 1e-3


def test_token_weights_balance_the_labels(task: Task) -> None:
    held = token_examples(task.support)
    shares = torch.stack([held.mask[held.y == label].sum() for label in range(LABELS)]) / held.mask.sum()
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0.2).all()
    unknown = (task.support.y < 0).flatten()
    assert unknown.any()
    assert (held.mask[unknown] == 0).all()
    masked = Examples(task.support.x, task.support.y, torch.tensor([True, False, True]))
    assert (token_examples(masked).mask.view(3, -1)[1] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_adapt_is_pure_and_the_support_matters(name: str, reader: Reader, task: Task) -> None:
    learner = create_metalearner(name, reader)
    if name == "guided-spans":  # its decoder is random at first; the support enters by what it reads
        learner.requires_grad_(True)
    state = learner.adapt(task.support, 1)
    outputs = learner.predict(state, task.query.x)
    assert outputs.shape == (4, 3, 1, 96)
    assert torch.isfinite(outputs).all()
    torch.testing.assert_close(learner.predict(learner.adapt(task.support, 1), task.query.x), outputs)
    shifted = Examples(task.support.x, task.support.y.roll(1, 1).clamp(min=-1))
    other = learner.predict(learner.adapt(shifted, 1), task.query.x)
    assert (other - outputs).abs().max() > 1e-4
    loss, again = learner(task.support, task.query, 1)
    torch.testing.assert_close(again, outputs)
    loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in learner.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_an_example_that_is_padding_counts_for_nothing(name: str, reader: Reader, task: Task) -> None:
    learner = create_metalearner(name, reader)
    mask = torch.tensor([True, True, False])
    held = Examples(task.support.x, task.support.y, mask)
    torch.manual_seed(0)
    noise = task.support.x.clone()
    noise[2, :, 0] = 7
    other = Examples(noise, task.support.y.clone(), mask)
    a, b = (learner.predict(learner.adapt(part, 1), task.query.x) for part in (held, other))
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_guided_pointer_learns_to_use_the_support(reader: Reader) -> None:
    learner = create_metalearner("guided-spans", reader)
    learner.requires_grad_(True)
    source = QuestionSource(96)
    batch = source.sample(1, "train", TaskShape(1, 2, 4), seeded("cpu", 9))[0]
    optimiser = torch.optim.AdamW(learner.parameters(), 3e-3)
    first = last = None
    for _ in range(40):
        loss, outputs = learner(batch.support, batch.query, 1)
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        last = loss.item()
    assert last < 0.2 * first
    assert score(outputs, batch.query) == span_f1(outputs, batch.query.y) > 0.5


@pytest.mark.parametrize("name", [name for name, _, _ in ANSWER_BASELINES if name != "from-scratch"])
def test_baselines_point_at_spans(name: str, reader: Reader, task: Task) -> None:
    make = next(make for key, _, make in ANSWER_BASELINES if key == name)
    before = {key: tensor.clone() for key, tensor in reader.state_dict().items()}
    with torch.no_grad():
        outputs, again = make(reader)(task, 0), make(reader)(task, 0)
    assert all(torch.equal(tensor, before[key]) for key, tensor in reader.state_dict().items())
    assert outputs.shape == (4, 3, 1, 96)
    assert 0 <= span_f1(outputs, task.query.y) <= 1
    torch.testing.assert_close(again, outputs)


def test_word_patterns_find_what_a_pattern_marks() -> None:
    from metalab.data.questions import window
    from metalab.data.words import words

    rng = np.random.default_rng(0)
    rows = []
    for value in range(1, 17):
        text = f"Some words {value} here\nname{value} : the kind{value}\nand then more {value}"
        passage = words(text)
        first = passage.plain.index(f"kind{value}")
        rows.append(window(passage, words("q ?"), (first, 1), 64, rng)[:2])
    x, y = (torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True))
    task = Task(Examples(x[:10], y[:10]), Examples(x[10:], y[10:]), 1)
    make = next(make for key, _, make in ANSWER_BASELINES if key == "patterns")
    outputs = make(None)(task, 0)
    assert span_f1(outputs, task.query.y) == 1
    assert (y[10:] == BEGIN).any()
