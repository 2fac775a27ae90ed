"""The history of a run as events: what counts after a resumed attempt, and curves short enough to draw."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metalab.runs import Run

NUMBERS = ("time", "step", "steps", "loss", "accuracy", "interval", "rate", "eta", "memory")
"""What is a number, or absent, in every event."""
STEPPED = ("pretrain", "train", "validation")
"""Kinds of events that belong to a step."""
MAX_POINTS = 1000
"""Points of a drawn curve; of a longer history equal numbers of neighbours are averaged."""


def parse_events(content: bytes) -> list[dict[str, Any]]:
    """Return the events of ``content``, a JSON object a line; a line that is none costs only itself."""
    events = []
    for line in content.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # half a line of a trainer that was killed
        if isinstance(event, dict) and _sound(event):
            events.append(event)
    return events


def _sound(event: dict[str, Any]) -> bool:
    numbers = all(isinstance(event.get(name), int | float | None) for name in NUMBERS)
    return numbers and (event.get("kind") not in STEPPED or event.get("step") is not None)


class History:
    """The events that count, so that steps only grow; ``of`` gives those of one kind.

    After a mark (``{"kind": "resumed", "step": k}`` of the trainer, ``{"kind": "attempt"}`` of its parent)
    the first event of a kind supersedes the earlier ones of that kind (and ``stage``, if they have one) from
    its own step on, and all those above step k. Kinds that do not come again, such as those of a finished
    pre-training, stay.
    """

    def __init__(self, events: Iterable[dict[str, Any]] = ()) -> None:
        self.events: list[dict[str, Any]] = []
        self._kinds: dict[Any, list[dict[str, Any]]] = {}
        self._again: set[tuple[Any, Any]] | None = None  # what came again since the last mark; None: no mark
        self._limit: float = math.inf
        self._offset = 0
        self._drawn: dict[tuple[str, str], tuple[tuple[int, int], tuple[list[float], list[float]]]] = {}
        for event in events:
            self.add(event)

    def add(self, event: dict[str, Any]) -> None:
        """Take in the next event."""
        kind, step = event.get("kind"), _step(event)
        series = (kind, event.get("stage"))
        if kind in ("attempt", "resumed"):
            self._again = set()
            self._limit = math.inf if event.get("step") is None else step
        elif self._again is not None and step == step and series not in self._again:
            self._again.add(series)

            def stays(old: dict[str, Any]) -> bool:
                other = (old.get("kind"), old.get("stage")) != series
                return other or not (_step(old) >= step or _step(old) > self._limit)

            self.events = [old for old in self.events if stays(old)]
            self._kinds[kind] = [old for old in self.of(kind) if stays(old)]
            self._drawn.clear()
        self.events.append(event)
        self._kinds.setdefault(kind, []).append(event)

    def refresh(self, run: Run) -> History:
        """Take in what ``run`` has written since the last call. Raises :class:`StorageError`."""
        events, self._offset = run.history_since(self._offset)
        for event in events:
            self.add(event)
        return self

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of ``kind``, in the order of their steps."""
        return self._kinds.get(kind, [])

    def curve(self, kind: str, key: str) -> tuple[list[float], list[float]]:
        """Return steps and values of ``key``, at most :data:`MAX_POINTS`; what is stored stays whole.

        The neighbours that are averaged are the same whenever one looks, and the curve is made anew only
        once there is another point to draw.
        """
        events = self.of(kind)
        each = 1 << max(0, math.ceil(math.log2(max(1, len(events)) / MAX_POINTS)))
        version = (each, len(events) // each)
        known = self._drawn.get((kind, key))
        if known is None or known[0] != version:
            points = [(event["step"], event[key]) for event in events if _known(event, "step", key)]
            if each > 1:
                groups = (points[start : start + each] for start in range(0, len(points), each))
                points = [
                    tuple(sum(part) / len(group) for part in zip(*group, strict=True)) for group in groups
                ]
            known = version, ([x for x, _ in points], [y for _, y in points])
            self._drawn[kind, key] = known
        return known[1]


def _step(event: dict[str, Any]) -> float:
    return math.nan if event.get("step") is None else event["step"]


def _known(event: dict[str, Any], *names: str) -> bool:
    return all(event.get(name) is not None for name in names)
