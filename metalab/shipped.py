"""The meta-learners that come with metalab, made by ``python -m metalab ship``: ready without training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metalab.checkpoints import SHIPPED, load_checkpoint
from metalab.config import Config
from metalab.metalearners import metalearners


@dataclass(frozen=True)
class Shipped:
    """A trained meta-learner: its file, its configuration, and its evaluation when it was made."""

    name: str
    path: Path
    config: Config
    evaluation: dict[str, Any]


def shipped() -> dict[str, Shipped]:
    """Return the shipped meta-learners by name, in the order of the registry."""
    found = {}
    for name in metalearners():
        path = SHIPPED / f"{name}.safetensors"
        if path.is_file():
            meta = load_checkpoint(path, "metalearner")[1]
            found[name] = Shipped(name, path, Config.create(**meta["config"]), meta["evaluation"])
    return found
