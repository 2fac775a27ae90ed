"""A user or a campaign, judged before and after adaptation: held out here, from a file, or on a page."""

from __future__ import annotations

import csv
import hashlib
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metalab.catalogue import Catalogue
from metalab.data.event_rows import EventRows
from metalab.data.event_source import EventSource
from metalab.data.questions import numpy_generator
from metalab.event_model import EventModel, Suggested, adapt_events, adapt_table, adapted
from metalab.inspection_events import kinds_of
from metalab.metalearners.recommending import Recommending
from metalab.outcomes import area, ndcg
from metalab.tasks import Examples, TaskShape, seeded

LIST = 10
"""Places of a list that is shown."""
DRAWS = 400
"""Heads drawn from a posterior for a band."""


@dataclass(frozen=True)
class RatedTask:
    """Ratings to learn from and to judge by: names, outcomes. ``task``: the number of a held-out user;
    ``table``: the rows of a file, if they come from one."""

    names: tuple[str, ...]
    outcomes: tuple[float, ...]
    query_names: tuple[str, ...] = ()
    query_outcomes: tuple[float, ...] = ()
    task: int | None = None
    table: EventRows | None = None

    @property
    def key(self) -> str:
        """Name the task by its content."""
        return hashlib.sha256(repr((self.names, self.outcomes, self.query_names)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RatedList:
    """What a user gets: ``before``, what is rated most; ``after``, what is expected to please; ``scores``
    name → (un-adapted, adapted) where there is something to judge by."""

    task: RatedTask
    model: EventModel
    seconds: float
    before: list[Suggested]
    after: list[Suggested]
    scores: dict[str, tuple[float, float]]


def held_out_user(source: EventSource, number: int, shot: int, query: int = 50) -> RatedTask:
    """Return user ``number`` of meta-test with ``shot`` known ratings. Raises :class:`DataError`."""
    shape = TaskShape(1, shot, query)
    source.check(shape, "test")
    users = source.eligible("test", shot)
    user = int(users[number % len(users)])
    support, later = source.divided(user, shape, numpy_generator(seeded("cpu", user, shot)))
    names, outcomes = source.events.entity_names, source.events.outcome

    def told(rows: NDArray[np.int64]) -> tuple[tuple[str, ...], tuple[float, ...]]:
        chosen = source.events.entity[rows]
        return tuple(str(names[i]) for i in chosen), tuple(float(one) for one in outcomes[rows])

    return RatedTask(*told(support), *told(later), user)


def events_table(source: EventSource, part: Examples) -> dict[str, list[Any]]:
    """Return the events of one task as columns: what was met, how it went, and what describes it."""
    names = {int(number): name for number, name in zip(source.known, source.events.entity_names, strict=True)}
    kept = part.weights().bool()
    x, y = part.x[kept], part.y[kept][:, 0]
    met = [names[int(number)] if number else "(unknown)" for number in x[:, 0].tolist()]
    named = ("viewer", "clicked") if source.by_time else ("product", "rating")
    table: dict[str, list[Any]] = dict(zip(named, (met, y.tolist()), strict=True))
    for at, name in enumerate(source.events.feature_names):
        column = x[:, 1 + at]
        if column.unique().numel() > 1:
            table[name] = [round(value, 2) for value in column.tolist()]
    return table


def starters(source: EventSource, count: int = 12) -> list[str]:
    """Return well-known products of many kinds: good to ask a new user about."""
    events = source.events
    met = np.bincount(events.entity[source.train_rows()], minlength=len(events.entity_names))
    order = np.argsort(-met, kind="stable")[: 20 * count]
    kinds = kinds_of(source, order)
    found: list[int] = []
    while len(found) < min(count, len(order)):
        taken: set[int] = set()
        for place, kind in zip(order.tolist(), kinds.tolist(), strict=True):
            if kind not in taken and place not in found and len(found) < count:
                taken.add(kind)
                found.append(place)
    return [str(events.entity_names[place]) for place in found]


def rate(metalearner: Recommending, source: EventSource, task: RatedTask) -> RatedList:
    """Adapt to the ratings of ``task`` and make its list. Raises :class:`DataError`."""
    catalogue = Catalogue.of(source, task.task)
    started = time.perf_counter()
    if task.table is None:
        model = adapt_events(metalearner, catalogue, task.names, task.outcomes)
    else:
        model = adapt_table(metalearner, catalogue, task.table)
    seconds = time.perf_counter() - started
    plain = EventModel(metalearner, metalearner.prior(), catalogue)
    met = metalearner.backbone.met[catalogue.x[:, 0].long()].numpy().copy()
    met[[place for place, _ in model.given]] = -1
    popular = np.argsort(-met, kind="stable")[:LIST]
    before = plain.predict([catalogue.names[place] for place in popular])
    scores = {}
    if task.query_names:
        truth = np.array(task.query_outcomes)
        given = [
            np.array([one.expected for one in which.predict(task.query_names)]) for which in (plain, model)
        ]
        scores["NDCG@5"] = tuple(ndcg(values, truth) for values in given)
        scores["Error (RMSE)"] = tuple(float(np.sqrt(((values - truth) ** 2).mean())) for values in given)
    return RatedList(task, model, seconds, before, model.suggest(LIST), scores)


def list_csv(found: Sequence[Suggested]) -> str:
    """Return a list as CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["name", "expected", "low", "high", "because"])
    for one in found:
        row = one.as_dict()
        writer.writerow([row[key] for key in ("name", "expected", "low", "high", "because")])
    return text.getvalue()


@dataclass(frozen=True)
class Estimate:
    """The click rate of a campaign's later impressions, as it is judged after ``seen`` impressions.

    ``rate`` with a 95 % band; ``own`` is clicks / impressions so far, None before the first.
    """

    seen: int
    clicks: int
    rate: float
    low: float
    high: float
    own: float | None


@dataclass(frozen=True)
class Campaign:
    """A held-out campaign: its estimates as impressions arrive, the ``true`` rate of the later ones, and the
    area under the curve of un-adapted and adapted model on them."""

    name: str
    estimates: list[Estimate]
    true: float
    later: int
    areas: tuple[float, float]


def watched(
    metalearner: Recommending, source: EventSource, campaign: int, most: int = 400, later: int = 400
) -> Campaign:
    """Look at held-out ``campaign`` while its first ``most`` impressions arrive; judge by ``later`` ones.

    Without a posterior the band has no width. Raises :class:`DataError` for a campaign that is too small.
    """
    shape = TaskShape(1, most, later)
    source.check(shape, "test")
    campaigns = source.eligible("test", most)
    task = int(campaigns[campaign % len(campaigns)])
    first, rest = source.divided(task, shape, numpy_generator(seeded("cpu", task)))
    known, query = (source.examples(rows, np.full(len(rows), task)) for rows in (first, rest))
    steps = sorted({0, *(step for step in (5, 10, 20, 50, 100, 150, 200, 300) if step < most), most})
    noise = torch.randn(DRAWS, metalearner.backbone.width + 1, generator=seeded("cpu", task, "band"))
    estimates, outputs = [], []
    for step in steps:
        part = Examples(known.x[:step], known.y[:step])
        state = metalearner.prior() if step == 0 else adapted(metalearner, part)
        with torch.no_grad():
            rows = metalearner.backbone.with_one(metalearner.features(state, query.x))
            heads = state["head"].unsqueeze(0)
            if "root" in state:  # else the method has no doubts
                heads = heads + noise @ state["root"].t()
            rates = (metalearner.backbone.offset + rows @ heads.t()).sigmoid().mean(0)
            outputs.append(metalearner.predict(state, query.x)[:, 0])
        low, high = (float(rates.quantile(level)) for level in (0.025, 0.975))
        clicks = int(known.y[:step].sum())
        estimates.append(
            Estimate(step, clicks, float(rates.mean()), low, high, clicks / step if step else None)
        )
    truth = query.y[:, 0].double().numpy()
    areas = tuple(area(values.double().numpy(), truth) for values in (outputs[0], outputs[-1]))
    return Campaign(source.class_name(task), estimates, float(truth.mean()), len(truth), areas)


SCRIPT = '''"""Recommend: python recommend.py [COUNT]"""
import sys

import metalab

model = metalab.load("model.safetensors")
for one in model.suggest(int(sys.argv[1]) if len(sys.argv) > 1 else 10):
    print(f"{one.expected:.2f}\\t{one.name}\\t{one.because or ''}")
'''
"""What a user runs beside the downloaded model."""
