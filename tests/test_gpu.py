"""What needs a GPU: skipped with a reason where there is none. ``pytest -m gpu`` runs these alone."""

from __future__ import annotations

import pytest
import torch
from test_execution import assert_same, batch, gradient, learner, short

from metalab import create_metalearner, create_pretrain_model
from metalab.bench.gpu import CASES, PEER, speeds
from metalab.config import Config
from metalab.data import create_source
from metalab.execution import Runner, task_runner
from metalab.graphs import Graph
from metalab.tasks import seeded
from metalab.training import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("name", ["maml", "anil", "protonet", "r2d2", "film"])
@pytest.mark.parametrize("strategy", ["loop", "vmap", "batched", "graph"])
def test_gradients_are_those_of_the_cpu(name: str, strategy: str) -> None:
    made, tasks = learner(name, **short(name)), batch()
    expected = gradient("loop", made, tasks)
    made = made.cuda()
    with task_runner(strategy, "cuda") as runner:
        for _ in range(2):  # the second is a replay
            loss, right, found = runner.meta_gradient(made, tasks.to("cuda"), list(made.parameters()))
    assert_same((loss.cpu(), right.cpu(), [g.cpu() for g in found]), expected)


def test_a_graph_sees_parameters_that_change() -> None:
    made, tasks = learner("anil", **short("anil")).cuda(), batch().to("cuda")
    parameters = list(made.parameters())
    with task_runner("graph", "cuda") as runner:
        runner.meta_gradient(made, tasks, parameters)
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(0.01)
        found = runner.meta_gradient(made, tasks, parameters)
        assert [type(held) for held in runner._recordings.values()] == [Graph]
    with task_runner("vmap", "cuda") as runner:
        assert_same(found, runner.meta_gradient(made, tasks, parameters))


def test_training_on_the_gpu_learns_and_repeats() -> None:
    def trained() -> list[float]:
        config = Config.create(
            metalearner="maml", steps=20, meta_batch=8, width=16, pretrain_steps=20, pretrained="none",
            validation_tasks=32, validate_every=10, device="cuda",
        )  # fmt: skip
        source = create_source(config, "cuda")
        backbone = create_pretrain_model(config, source=source)
        made = create_metalearner("maml", backbone, seed=0).cuda()
        return [event.accuracy for event in Trainer(made, source, config).run() if event.kind == "validation"]

    first, second = trained(), trained()
    assert first[-1] > first[0] + 0.05
    assert second == pytest.approx(first, abs=0.02), "kernels may add in another order"


def test_memory_that_does_not_suffice_costs_speed_alone() -> None:
    made, tasks = learner("anil", **short("anil")).cuda(), batch(tasks=1024).to("cuda")
    runner = Runner("vmap", accelerated=True)
    parameters = list(made.parameters())
    expected = runner.meta_gradient(made, tasks, parameters)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    runner.meta_gradient(made, tasks, parameters)
    needed = torch.cuda.max_memory_allocated() - before
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 0.6 * needed) / total)
    try:
        assert_same(runner.meta_gradient(made, tasks, parameters), expected)
        assert runner.chunk < 1024
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_the_benchmark_measures() -> None:
    rows = list(speeds(CASES[2], (4,), torch.device("cuda")))
    assert rows[0].way == PEER
    assert all(row.difference < 1e-4 for row in rows[1:] if "," not in row.way)
    assert seeded("cuda", 0).device.type == "cuda"
