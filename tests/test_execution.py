"""Every strategy gives the same loss, accuracy and gradients for every meta-learner."""

from __future__ import annotations

import pytest
import torch

from metalab.backbones import create_backbone
from metalab.config import Config
from metalab.execution import task_runner
from metalab.metalearners import check_options, get_metalearner, metalearners
from metalab.tasks import Examples, TaskBatch


def batch(dtype: torch.dtype = torch.float64) -> TaskBatch:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 12, 1, 16, 16, generator=generator, dtype=dtype)
    y = torch.arange(3).repeat(4).expand(3, 12)
    return TaskBatch(Examples(x[:, :6], y[:, :6]), Examples(x[:, 6:], y[:, 6:]), 3)


@pytest.mark.parametrize("normalisation", ["running", "group", "batch"])
@pytest.mark.parametrize("name", list(metalearners()))
def test_strategies_agree(name: str, normalisation: str) -> None:
    config = Config.create(image_size=16, width=8, normalisation=normalisation)
    torch.manual_seed(0)
    learner = get_metalearner(name)(create_backbone(config), check_options(name, {})).double().train()
    parameters = [p for p in learner.parameters() if p.requires_grad]
    results = []
    for strategy in ("loop", "threads", "replay", "vmap", "batched"):
        with task_runner(strategy) as runner:
            results.append(runner.meta_gradient(learner, batch(), parameters))
    for loss, right, gradients in results[1:]:
        torch.testing.assert_close(loss, results[0][0], rtol=1e-10, atol=1e-12)
        assert right == results[0][1]
        for a, b in zip(gradients, results[0][2], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)
