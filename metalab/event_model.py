"""A recommender adapted to a few events: what this user will like, or who will click this campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metalab.adaptation import describe, rebuild
from metalab.catalogue import OWN, At, Catalogue, listed
from metalab.checkpoints import checkpoint_bytes, load_checkpoint, prefixed
from metalab.data.event_features import Column
from metalab.data.event_rows import EventRows
from metalab.data.events_in import ANYONE
from metalab.errors import CheckpointError, DataError
from metalab.metalearners import State
from metalab.metalearners.recommending import Recommending
from metalab.storage import atomic_write
from metalab.tasks import Examples

if TYPE_CHECKING:
    from metalab.api import TaskResult

KIND = "event-model"
"""Of its checkpoints."""
SURE = 1.96
"""Deviations of a 95 % interval."""


@dataclass(frozen=True)
class Suggested:
    """One entity: ``expected`` outcome (a rating, or the chance of a click) with a 95 % band, None where the
    method knows none; ``because`` names the support event that speaks most for it, if one does."""

    name: str
    place: int
    expected: float
    low: float | None
    high: float | None
    because: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON-able data."""
        return {
            "name": self.name,
            "expected": round(self.expected, 4),
            "low": None if self.low is None else round(self.low, 4),
            "high": None if self.high is None else round(self.high, 4),
            "because": self.because,
        }


@dataclass(frozen=True, eq=False)
class EventModel:
    """A recommender with the state of one task; ``given`` are the places and outcomes of its support set."""

    metalearner: Recommending
    state: State
    catalogue: Catalogue
    given: tuple[tuple[int, float], ...] = ()

    @property
    def application(self) -> str:
        """What it does."""
        return self.metalearner.application

    def predict(self, events: Sequence[str] | Tensor | NDArray[np.float32]) -> list[Suggested]:
        """Return what is expected of ``events``: names in the catalogue, or inputs (n, 1 + features).

        Raises :class:`DataError`.
        """
        if len(events) and isinstance(events[0], str):
            places = self.catalogue.places(events, listed("events"))
            return self._told(self.catalogue.x[places], places)
        x = inputs(events, self.catalogue.x.shape[1], "events")
        return self._told(x, [-1] * len(x))

    def predict_table(self, table: EventRows) -> list[Suggested]:
        """Return what is expected of each row of a user's table. Raises :class:`DataError`."""
        found = self._told(*_described(self.catalogue, table))
        return [replace(one, name=name) for one, name in zip(found, table.names, strict=True)]

    def suggest(self, count: int = 10) -> list[Suggested]:
        """Return the ``count`` entities of which most is expected, besides those in the support set."""
        known = {place for place, _ in self.given}
        left = [place for place in range(len(self.catalogue.names)) if place not in known]
        values = self.outputs(self.catalogue.x[left])
        best = [left[i] for i in values.argsort(descending=True, stable=True)[:count].tolist()]
        return self._told(self.catalogue.x[best], best)

    def outputs(self, x: Tensor) -> Tensor:
        """Return ratings, or logits of clicks, (n,) for inputs (n, 1 + features)."""
        with torch.no_grad():
            return self.metalearner.predict(self.state, x.to(self._device))[:, 0].cpu()

    @property
    def _device(self) -> torch.device:
        return self.metalearner.backbone.offset.device

    def _told(self, x: Tensor, places: Sequence[int]) -> list[Suggested]:
        values = self.outputs(x)
        with torch.no_grad():
            spread = self.metalearner.deviation(self.state, x.to(self._device))
        bands = [None, None]
        if spread is not None:
            bands = [self._shown(values + sign * SURE * spread.cpu()).tolist() for sign in (-1, 1)]
        reasons = self._reasons(x)
        return [
            Suggested(
                self.catalogue.names[place] if place >= 0 else f"event {number + 1}",
                place,
                expected,
                None if bands[0] is None else bands[0][number],
                None if bands[1] is None else bands[1][number],
                reasons[number],
            )
            for number, (place, expected) in enumerate(zip(places, self._shown(values).tolist(), strict=True))
        ]

    def _shown(self, values: Tensor) -> Tensor:
        if self.metalearner.backbone.clicks:
            return values.sigmoid()
        return values.clamp(*self.catalogue.scale)

    def _reasons(self, x: Tensor) -> list[str | None]:
        """Return for each input the support event that, by the prior's covariance, raises it most."""
        if not self.given or len(self.catalogue.names) == 1:  # nothing sets it apart
            return [None] * len(x)
        learner, backbone = self.metalearner, self.metalearner.backbone
        places = [place for place, _ in self.given]
        with torch.no_grad():
            known = self.catalogue.x[places].to(self._device)
            rows, asked = (
                backbone.with_one(learner.features(self.state, part)) for part in (known, x.to(self._device))
            )
            before = learner.predict(learner.prior(), known)[:, 0]
            before = before.sigmoid() if backbone.clicks else before
            surprise = torch.tensor([outcome for _, outcome in self.given]).to(before) - before
            root = backbone.prior_root[:-1]  # the bias says nothing of this entity
            alike = (asked[:, :-1] @ root) @ (rows[:, :-1] @ root).t()
            pull = (alike * surprise).cpu()
        best = pull.max(1)
        return [
            self.catalogue.names[places[at]] if value > 0 else None
            for value, at in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    def save(self, path: Path | str) -> None:
        """Write everything, the catalogue included, to one safetensors file. Raises :class:`StorageError`."""
        atomic_write(Path(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return what :meth:`save` writes."""
        tensors = {f"learner.{k}": v for k, v in self.metalearner.state_dict().items()}
        tensors |= {f"state.{k}": v for k, v in self.state.items()}
        tensors["catalogue.x"] = self.catalogue.x
        held = self.catalogue
        rest = {"names": held.names, "keys": held.keys, "scale": held.scale, "columns": held.columns}
        rest["given"] = self.given
        return checkpoint_bytes(KIND, tensors, {**describe(self.metalearner), **rest})


def load_event_model(path: Path | str) -> EventModel:
    """Read what :meth:`EventModel.save` wrote; raises :class:`CheckpointError`."""
    tensors, meta = load_checkpoint(path, KIND)
    learner = rebuild(meta, prefixed(tensors, "learner"), path)
    try:
        low, high = meta["scale"]
        columns = tuple(Column(name, of, tuple(values), *rest) for name, of, values, *rest in meta["columns"])
        x = tensors["catalogue.x"]
        keys = tuple(meta["keys"])
        catalogue = Catalogue(list(meta["names"]), x, (float(low), float(high)), columns, keys)
        given = tuple((int(place), float(outcome)) for place, outcome in meta["given"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"describes no recommender ({error})", where=path) from None
    if len(catalogue.names) != len(catalogue.x):
        raise CheckpointError("names and catalogue differ in length", where=path)
    return EventModel(learner, prefixed(tensors, "state"), catalogue, given)


def adapt_events(
    metalearner: Recommending, catalogue: Catalogue, names: Sequence[str], outcomes: Sequence[float]
) -> EventModel:
    """Adapt to the ``outcomes`` of entities ``names``; nothing is meta-trained. Raises :class:`DataError`."""
    places = catalogue.places([str(name) for name in names], listed("names"))
    return _adapted_model(metalearner, catalogue, catalogue.x[places], places, outcomes, listed("outcomes"))


def adapt_table(metalearner: Recommending, catalogue: Catalogue, table: EventRows) -> EventModel:
    """Adapt to the rows of a user's table; entities that nobody met are described by their columns.

    Raises :class:`DataError`.
    """
    if table.outcomes is None:
        raise DataError("no column says how it went", where=table.where, fix="Add rating, or clicked")
    x, places = _described(catalogue, table)
    return _adapted_model(metalearner, catalogue, x, places, table.outcomes, table.at)


def _described(catalogue: Catalogue, table: EventRows) -> tuple[Tensor, list[int]]:
    """Return inputs (n, 1 + features) of the rows of a user's table, and their places in ``catalogue``."""
    if not catalogue.columns:  # nothing would describe an unknown name
        if ANYONE in table.names and ANYONE not in catalogue.names:
            raise DataError(
                "has no column user, and this model knows impressions by their viewers alone",
                where=table.where,
                fix=f"Add it; {OWN}",
            )
        catalogue.places(table.names, table.at)
    return catalogue.described(table.names, table.rows)


def _adapted_model(
    metalearner: Recommending,
    catalogue: Catalogue,
    x: Tensor,
    places: Sequence[int],
    outcomes: Sequence[float],
    at: At,
) -> EventModel:
    support = examples(x, outcomes, catalogue.scale, at)
    given = [(place, float(one)) for place, one in zip(places, outcomes, strict=True) if place >= 0]
    return EventModel(metalearner, adapted(metalearner, support), catalogue, tuple(given))


def adapted(metalearner: Recommending, support: Examples) -> State:
    """Return the state after ``support``, without gradients."""
    with torch.no_grad():
        state = metalearner.adapt(support.to(metalearner.backbone.offset.device), 1)
    return {name: tensor.detach() for name, tensor in state.items()}


def examples(x: Tensor, outcomes: Sequence[float], scale: tuple[float, float], at: At) -> Examples:
    """Return inputs and outcomes as examples. Raises :class:`DataError` for outcomes outside the scale."""
    if len(outcomes) != len(x):
        raise DataError(f"{len(x)} events but {len(outcomes)} outcomes", fix="Give one for each")
    if not len(x):
        raise DataError("no events", fix="Give one or more")
    low, high = scale
    for number, outcome in enumerate(outcomes):
        try:
            inside = low <= float(outcome) <= high
        except (TypeError, ValueError):
            raise DataError(f"{outcome!r} is no number", where=at(number), fix="Correct it") from None
        if not inside:
            raise DataError(
                f"{outcome} is outside of {low:g} to {high:g}", where=at(number), fix="Correct it"
            )
    return Examples(x, torch.tensor([[float(one)] for one in outcomes]))


def inputs(events: Any, size: int, where: str) -> Tensor:
    """Return ``events`` as inputs (n, size). Raises :class:`DataError`."""
    try:
        x = torch.as_tensor(np.asarray(events, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise DataError(f"is no table of numbers ({error})", where=where) from None
    if x.ndim != 2 or x.shape[1] != size:
        raise DataError(f"has the shape {tuple(x.shape)}, (n, {size}) is needed", where=where)
    if not torch.isfinite(x).all():
        raise DataError("holds what is no number", where=where, fix="Replace it by 0")
    return x


def event_task_learning(
    metalearner: Recommending, train_data: Any, train_labels: Any, test_data: Any, test_labels: Any = None
) -> TaskResult:
    """Adapt to events and predict others, as :func:`metalab.api.task_learning`; judged by NDCG@5 or AUC.

    Data are inputs (n, 1 + features), as :meth:`EventSource.described` makes them; labels ratings, or clicks.
    Raises :class:`DataError`.
    """
    from metalab.api import TaskResult
    from metalab.applications import application

    backbone = metalearner.backbone
    scale = (0.0, 1.0) if backbone.clicks else (-np.inf, np.inf)
    known = inputs(train_data, backbone.size, "train_data")
    support = examples(known, list(train_labels), scale, listed("train_labels"))
    catalogue = Catalogue([f"event {i + 1}" for i in range(len(known))], known, scale)
    model = EventModel(metalearner, adapted(metalearner, support), catalogue)
    asked = inputs(test_data, backbone.size, "test_data")
    found, accuracy = model.predict(asked), None
    values = [one.expected for one in found]
    if test_labels is not None:
        query = examples(asked, list(test_labels), scale, listed("test_labels"))
        accuracy = float(application(metalearner.application).judge(model.outputs(asked)[:, None], query))
    return TaskResult(values, values, accuracy, model)
