"""What a recommender may meet: products, or viewers, by their names and with what describes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from metalab.data.event_features import PARTS, Column, encoded
from metalab.data.event_source import EventSource
from metalab.errors import DataError

OWN = "for your own data, train a model on them first (train --data FILE), and adapt that run"
"""What to do about names that a model does not know."""
At = Callable[[int], str]
"""Says where the event of a number stands, for messages."""


def listed(where: str) -> At:
    """Return what names the places of a list called ``where``."""
    return lambda number: f"{where}[{number}]"


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What may be met: ``names`` and inputs ``x`` (entities, 1 + features); ``scale`` of outcomes.

    ``columns`` say how rows of the user's tables are described, in the order of the features; none for
    other data."""

    names: list[str]
    x: Tensor
    scale: tuple[float, float]
    columns: tuple[Column, ...] = ()
    keys: tuple[str, ...] = ()
    """Other names by which they are known."""

    @classmethod
    def of(cls, source: EventSource, task: int | None = None) -> Catalogue:
        """Return all entities of ``source``, as ``task`` would meet them in no particular context."""
        events = source.events
        everyone = np.arange(len(events.entity_names))
        none = np.zeros((len(everyone), events.context.shape[1]), np.float32)
        x = source.described(everyone, np.full(len(everyone), 0 if task is None else task), none)
        if task is None:
            first = 1 + events.entity_features.shape[1]
            x[:, first : first + events.task_features.shape[1]] = 0
        names = [str(name) for name in events.entity_names]
        keys = tuple(str(key) for key in events.entity_keys)
        return cls(names, torch.from_numpy(x), events.scale, source.columns, keys)

    @cached_property
    def _at(self) -> dict[str, int]:
        """Where each name and key stands."""
        named = ((name, place) for names in (self.keys, self.names) for place, name in enumerate(names))
        return dict(named)

    def described(self, names: Sequence[str], rows: pd.DataFrame) -> tuple[Tensor, list[int]]:
        """Return inputs (n, 1 + features) of entities ``names`` in ``rows`` of a table, and their places.

        One that the catalogue does not have (place -1) is described by its columns alone.
        """
        places = [self._at.get(name, -1) for name in names]
        x = torch.zeros(len(names), self.x.shape[1])
        known = torch.tensor([place >= 0 for place in places])
        first = 1
        for of in PARTS:
            part = torch.from_numpy(encoded(rows, self.columns, of))
            x[:, first : first + part.shape[1]] = part
            first += part.shape[1]
            if of == "entity":
                taken = self.x[[place for place in places if place >= 0], :first]
                x[known, :first] = taken
        return x, places

    def lacking(self, rows: pd.DataFrame) -> list[str]:
        """Return the names of the columns that would describe ``rows`` of a table and are not there."""
        return [column.name for column in self.columns if column.name not in rows]

    def places(self, names: Sequence[str], at: At) -> list[int]:
        """Return where ``names`` stand. Raises :class:`DataError` for one that is not there."""
        import difflib

        for number, name in enumerate(names):
            if name not in self._at:
                near = difflib.get_close_matches(name, self.names, 1)
                fix = f"Did you mean {near[0]}?" if near else f"Use a name such as {self.names[0]}; {OWN}"
                raise DataError(f"{name!r} is unknown to this model", where=at(number), fix=fix)
        return [self._at[name] for name in names]
