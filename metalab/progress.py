"""What the engine says while it works: plain events. It prints nothing itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """One event. ``kind``: pretrain, train, validation, evaluate or embed.

    ``accuracy`` is a share in 0..1, ``interval`` half the width of its 95 % interval, ``rate`` images
    (pretrain) or tasks per second, ``eta`` seconds left in this stage, ``memory`` peak bytes.
    """

    kind: str
    step: int
    steps: int
    loss: float | None = None
    accuracy: float | None = None
    interval: float | None = None
    rate: float | None = None
    eta: float | None = None
    memory: int | None = None
    message: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what is known, ready for JSON."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
