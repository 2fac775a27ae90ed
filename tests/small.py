"""A small meta-learner in float64 and a small task, for tests of meta-learners."""

from __future__ import annotations

import torch

from metalab.backbones import create_backbone
from metalab.config import Config
from metalab.metalearners import MetaLearner, check_options, get_metalearner, metalearners
from metalab.tasks import Examples

CASES = {name: (name, {}) for name in metalearners()} | {
    "maml, shared head": ("maml", {"head": "shared"}),
    "matching, full context": ("matching", {"full_context": True}),
}


def learner(name: str, seed: int = 0, **options: object) -> MetaLearner:
    """Return method or case ``name`` with parameters and statistics away from their initial values."""
    name, given = CASES.get(name, (name, {}))
    options = given | options
    normalisation = options.pop("normalisation", "running")
    config = Config.create(image_size=16, width=8, seed=seed, normalisation=normalisation)
    backbone = create_backbone(config).double()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for buffer_name, buffer in backbone.named_buffers():
            if buffer_name.endswith("_var"):
                buffer.uniform_(0.5, 1.5)
            elif buffer_name.endswith("_mean"):
                buffer.normal_(std=0.1)
        made = get_metalearner(name)(backbone, check_options(name, options)).double()
        for parameter in made.parameters():  # away from initial values that would hide a mistake
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def task(seed: int = 0, way: int = 3, shot: int = 2, query: int = 4) -> tuple[Examples, Examples]:
    """Return support and query of a random task."""
    generator = torch.Generator().manual_seed(seed)

    def examples(each: int) -> Examples:
        x = torch.rand(way * each, 1, 16, 16, generator=generator, dtype=torch.float64)
        return Examples(x, torch.arange(way).repeat_interleave(each))

    return examples(shot), examples(query)
