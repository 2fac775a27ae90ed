"""metalab: meta-learning that people can use and see.

>>> from metalab import Config, create_metalearner, create_pretrain_model
>>> from metalab import task_learning, train_metalearner
"""

from metalab.adaptation import AdaptedModel, load
from metalab.api import (
    TaskResult,
    create_metalearner,
    create_pretrain_model,
    task_learning,
    train_metalearner,
)
from metalab.config import Config
from metalab.errors import MetalabError

__all__ = [
    "AdaptedModel",
    "Config",
    "MetalabError",
    "TaskResult",
    "create_metalearner",
    "create_pretrain_model",
    "load",
    "task_learning",
    "train_metalearner",
]
