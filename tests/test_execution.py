"""Every strategy gives the same loss, score and gradients for every meta-learner."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad, vmap

from metalab import execution, tracing
from metalab.backbones import MLP, create_backbone
from metalab.config import Config
from metalab.data.sinusoid import sinusoids
from metalab.execution import TRIALS, WORTH_RECORDING, Runner, chunks, task_runner
from metalab.metalearners import MetaLearner, check_options, get_metalearner, metalearners
from metalab.tasks import Examples, TaskBatch
from metalab.tracing import Result, batch_gradient, vmapped


def batch(dtype: torch.dtype = torch.float64, tasks: int = 3, masked: bool = False) -> TaskBatch:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(tasks, 12, 1, 16, 16, generator=generator, dtype=dtype)
    y = torch.arange(3).repeat(4).expand(tasks, 12)
    mask = None
    if masked:  # one support and one query example less, at another place in every task
        mask = torch.ones(tasks, 12, dtype=torch.bool)
        mask[range(tasks), [i % 6 for i in range(tasks)]] = False
        mask[range(tasks), [11 - i % 6 for i in range(tasks)]] = False
    halves = (slice(0, 6), slice(6, 12))
    parts = [Examples(x[:, half], y[:, half], None if mask is None else mask[:, half]) for half in halves]
    return TaskBatch(*parts, 3)


def learner(name: str, normalisation: str = "running", **options: object) -> MetaLearner:
    config = Config.create(image_size=16, width=8, normalisation=normalisation)
    torch.manual_seed(0)
    return get_metalearner(name)(create_backbone(config), check_options(name, options)).double().train()


def short(name: str) -> dict[str, object]:
    """Options that keep a recording short."""
    brief = {"inner_steps": 1, "cg_steps": 1, "solver_steps": 10, "refinements": 1, "sinkhorn_steps": 1}
    return {k: v for k, v in brief.items() if k in get_metalearner(name).Options.model_fields}


def gradient(strategy: str, made: MetaLearner, tasks: TaskBatch) -> Result:
    with task_runner(strategy) as runner:
        return runner.meta_gradient(made, tasks, [p for p in made.parameters() if p.requires_grad])


def assert_same(found: Result, expected: Result) -> None:
    torch.testing.assert_close(found[0], expected[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-10, atol=1e-12)
    for a, b in zip(found[2], expected[2], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("normalisation", ["running", "group", "batch"])
@pytest.mark.parametrize("name", list(metalearners()))
def test_strategies_agree(name: str, normalisation: str) -> None:
    made = learner(name, normalisation)
    expected = gradient("loop", made, batch())
    for strategy in ("threads", "vmap"):
        assert_same(gradient(strategy, made, batch()), expected)


@pytest.mark.parametrize("name", list(metalearners()))
def test_a_recording_gives_the_same_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So whether one is used, which is a matter of time saved, never changes a run."""
    made = learner(name, "batch", **short(name))
    expected = gradient("threads", made, batch())
    recorded = []
    own = tracing.Replay.__call__
    monkeypatch.setattr(tracing.Replay, "__call__", lambda self, task: recorded.append(1) or own(self, task))
    found = gradient("replay", made, batch())
    assert len(recorded) == 3, "every method can be recorded"
    for a, b in zip([*found[:2], *found[2]], [*expected[:2], *expected[2]], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["anil", "protonet"])
def test_a_recorded_batch_gives_the_same_bits(name: str) -> None:
    made = learner(name, "group", **short(name))
    found, expected = (gradient(strategy, made, batch()) for strategy in ("batched", "vmap"))
    for a, b in zip([*found[:2], *found[2]], [*expected[:2], *expected[2]], strict=True):
        assert torch.equal(a, b)


def test_a_recording_follows_parameters_and_buffers() -> None:
    made = learner("maml", inner_steps=1)
    parameters = list(made.parameters())
    with task_runner("replay") as runner:
        runner.meta_gradient(made, batch(), parameters)
        with torch.no_grad():
            for tensor in (*parameters, *made.buffers()):
                tensor.add_(0.01)
        found = runner.meta_gradient(made, batch(), parameters)
        assert len(runner._recordings) == 1
    assert_same(found, gradient("loop", made, batch()))


@pytest.mark.parametrize("strategy", ["threads", "replay", "vmap", "batched"])
@pytest.mark.parametrize("name", ["anil", "protonet"])
def test_padding_is_left_out_by_every_strategy(name: str, strategy: str) -> None:
    made, padded = learner(name, **short(name)), batch(masked=True)
    expected = gradient("loop", made, padded)
    assert_same(gradient(strategy, made, padded), expected)
    assert not torch.allclose(expected[0], gradient("loop", made, batch())[0]), "the mask matters"


@pytest.mark.parametrize("strategy", ["vmap", "batched"])
def test_chunks_change_nothing(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, tasks = learner("anil", **short("anil")), batch(tasks=5)
    expected = gradient("loop", made, tasks)
    monkeypatch.setattr("metalab.execution.CHUNK", 2)
    assert [len(part) for part in chunks(tasks, 2)] == [1, 2, 2]
    assert_same(gradient(strategy, made, tasks), expected)
    with task_runner(strategy) as runner, task_runner("loop") as loop:
        torch.testing.assert_close(runner.accuracies(made, tasks), loop.accuracies(made, tasks))


def test_too_little_memory_halves_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    made, tasks = learner("anil", **short("anil")), batch(tasks=5)
    expected = gradient("loop", made, tasks)
    tried: list[int] = []

    def scarce(forward: object, part: TaskBatch, parameters: object = None) -> object:
        tried.append(len(part))
        if len(part) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return vmapped(forward, part) if parameters is None else batch_gradient(forward, part, parameters)

    monkeypatch.setattr("metalab.execution.batch_gradient", scarce)
    monkeypatch.setattr("metalab.execution.vmapped", scarce)
    runner, fits = Runner("vmap", accelerated=True), 1
    assert_same(runner.meta_gradient(made, tasks, list(made.parameters())), expected)
    assert tried == [
        5,
        1,
        2,
        1,
        1,
        1,
        1,
        1,
    ]  # 5 in one call; 2 at most, the second of three fails; one by one
    fits, runner.chunk, tried = 3, 100, []
    assert len(runner.accuracies(made, tasks)) == 5
    assert runner.chunk == 2
    fits = 0
    with pytest.raises(torch.OutOfMemoryError):
        runner.accuracies(made, tasks)


@pytest.mark.parametrize("strategy", ["threads", "replay", "vmap", "batched"])
def test_regression_agrees_too(strategy: str) -> None:
    made = get_metalearner("maml")(MLP(), check_options("maml", {"head": "shared"})).double()
    tasks = sinusoids(4, 5, 10, torch.Generator().manual_seed(0))
    tasks = TaskBatch(
        *(Examples(part.x.double(), part.y.double()) for part in (tasks.support, tasks.query)), way=1
    )
    expected = gradient("loop", made, tasks)
    torch.testing.assert_close(expected[0], expected[1], msg="loss and score are both the mean squared error")
    assert_same(gradient(strategy, made, tasks), expected)


def test_what_cannot_be_recorded_runs_the_ordinary_way(monkeypatch: pytest.MonkeyPatch) -> None:
    made = learner("maml", inner_steps=1)
    expected = gradient("threads", made, batch())
    monkeypatch.setattr(tracing, "LONGEST", 100)
    found = gradient("replay", made, batch())
    assert all(torch.equal(a, b) for a, b in zip(found[2], expected[2], strict=True))


def test_auto_is_a_rule() -> None:
    """What could change a bit is decided by the network and the device alone."""
    images, small = learner("maml"), get_metalearner("maml")(MLP(), check_options("maml", {"head": "shared"}))
    assert [Runner("auto").resolve(made) for made in (images, small)] == ["threads", "vmap"]
    with task_runner("auto", tasks=WORTH_RECORDING) as runner:
        assert [runner.resolve(made) for made in (images, small)] == ["replay", "batched"]
    assert Runner("auto", accelerated=True).resolve(images) == "vmap"


@pytest.mark.parametrize("slow", ["replay", "threads"])
def test_recording_is_tried_and_kept_if_it_is_quicker(slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice is measured, and changes no bit."""
    made, tasks = learner("protonet"), batch()
    parameters = [p for p in made.parameters() if p.requires_grad]
    with task_runner("auto", tasks=WORTH_RECORDING) as runner:
        now, tried, results = 0.0, [], []

        def clock() -> float:
            nonlocal now
            now += 2.0 if runner.resolve(made) == slow else 1.0
            return now

        monkeypatch.setattr(execution, "time", SimpleNamespace(perf_counter=clock))
        for _ in range(2 * TRIALS + 2):
            tried.append(runner.resolve(made))
            results.append(runner.meta_gradient(made, tasks, parameters)[2])
    quick = "threads" if slow == "replay" else "replay"
    assert tried == ["replay"] * TRIALS + ["threads"] * TRIALS + [quick] * 2
    for gradients in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(gradients, results[0], strict=True))


def composite_batch_norm(h: Tensor, weight: Tensor) -> Tensor:
    mean, var = h.mean((0, 2, 3), keepdim=True), h.var((0, 2, 3), correction=0, keepdim=True)
    return (h - mean) * (var + 1e-5).rsqrt() * weight[:, None, None]


OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "batch norm, composite": composite_batch_norm,
    "group norm": lambda h, weight: F.group_norm(h, 2, weight),
    "layer norm": lambda h, weight: F.layer_norm(h * weight[:, None, None], h.shape[1:]),
    "max-pooling": lambda h, weight: F.max_pool2d(h * weight[:, None, None], 2),
    "softmax": lambda h, weight: F.softmax(h * weight[:, None, None], dim=1),
    "cross-entropy": lambda h, weight: F.cross_entropy(h.mean((2, 3)) * weight, torch.arange(len(h)) % 4),
    "convolution": lambda h, weight: F.conv2d(h, weight[:, None, None, None].expand(4, 4, 3, 3).sin()),
    "linear solve": lambda h, weight: torch.linalg.solve(h + 4 * torch.eye(4).to(h), h * weight),
}


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_second_derivatives_under_vmap(name: str) -> None:
    """The operations that backbones and methods use; F.batch_norm fails here in torch 2.14 (0.5 % off)."""
    operation = OPERATIONS[name]
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 5, 4, 4, 4, generator=generator, dtype=torch.float64)
    start = torch.rand(4, generator=generator, dtype=torch.float64)

    def outer(start: Tensor, x: Tensor) -> Tensor:
        def inner(weight: Tensor) -> Tensor:
            return operation(x * weight[:, None, None], weight).pow(3).sum()

        return inner(start - 0.1 * grad(inner)(start))

    found = vmap(grad(outer), in_dims=(None, 0))(start, x)
    expected = torch.stack([grad(outer)(start, each) for each in x])
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
