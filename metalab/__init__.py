"""metalab: meta-learning that people can use and see.

>>> import metalab
>>> config = metalab.Config.create(way=5, shot=1)
>>> config.source
'glyphs'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metalab.adaptation import AdaptedModel, load
    from metalab.api import (
        TaskResult,
        adapt,
        create_metalearner,
        create_pretrain_model,
        task_learning,
        train_metalearner,
    )
    from metalab.config import Config
    from metalab.errors import MetalabError
    from metalab.estimator import FewShotClassifier

# Imported on first use: the supervisor and `--help` need no torch.
_HOMES = {
    "AdaptedModel": "adaptation",
    "Config": "config",
    "FewShotClassifier": "estimator",
    "MetalabError": "errors",
    "TaskResult": "api",
    "adapt": "api",
    "create_metalearner": "api",
    "create_pretrain_model": "api",
    "load": "adaptation",
    "task_learning": "api",
    "train_metalearner": "api",
}

__all__ = [
    "AdaptedModel",
    "Config",
    "FewShotClassifier",
    "MetalabError",
    "TaskResult",
    "adapt",
    "create_metalearner",
    "create_pretrain_model",
    "load",
    "task_learning",
    "train_metalearner",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'metalab' has no attribute {name!r}")
    return getattr(importlib.import_module(f"metalab.{_HOMES[name]}"), name)
