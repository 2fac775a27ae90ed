"""On an accelerator: the same task, the same result as on the CPU."""

from __future__ import annotations

import pytest
import torch

from metalab.api import create_metalearner
from metalab.backbones import create_backbone
from metalab.config import Config
from metalab.data import create_source
from metalab.execution import choose_device, task_runner
from metalab.metalearners import metalearners
from metalab.tasks import TaskShape, seeded
from metalab.training import Trainer

DEVICE = choose_device("auto")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE.type == "cpu", reason="this machine has no accelerator"),
]
CONFIG = Config.create(image_size=16, width=8, steps=3, validate_every=3, validation_tasks=8, train_way=5)


@pytest.mark.parametrize("strategy", ["loop", "vmap"])
@pytest.mark.parametrize("name", list(metalearners()))
def test_gradients_agree_with_the_cpu(name: str, strategy: str) -> None:
    batch = create_source(CONFIG).sample(3, "train", TaskShape(3, 2, 3), seeded("cpu", 0))
    results = []
    for device in (torch.device("cpu"), DEVICE):
        learner = create_metalearner(name, create_backbone(CONFIG)).to(device)
        parameters = [p for p in learner.parameters() if p.requires_grad]
        with task_runner("loop" if device.type == "cpu" else strategy, device) as runner:
            loss, _, gradients = runner.meta_gradient(learner, batch.to(device), parameters)
        results.append([loss.cpu(), *(gradient.cpu() for gradient in gradients)])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("name", list(metalearners()))
def test_training_stays_on_the_device(name: str) -> None:
    learner = create_metalearner(name, create_backbone(CONFIG).to(DEVICE))
    events = list(Trainer(learner, create_source(CONFIG, DEVICE), CONFIG).run())
    assert [event.kind for event in events].count("train") == 3
    assert all(p.device.type == DEVICE.type for p in learner.parameters())
