"""What ratings are like, in a few numbers: how the made-up shop is held against real ones."""

from __future__ import annotations

import numpy as np

from metalab.data.events import Events

SHRINK = 5
"""Events that the means of entities and tasks are shrunk by, in what they leave."""
WELL_MET = 20
"""Events from which an entity's mean counts."""


def statistics(events: Events) -> dict[str, float]:
    """Return them by name; "left" is what the means of entity and task do not explain."""
    counts, y, task = events.counts, events.outcome.astype(np.float64), events.task_of()
    met = np.bincount(events.entity, minlength=len(events.entity_names))
    means = np.bincount(events.entity, y, minlength=len(met)) / met.clip(1)
    shrunk = np.bincount(events.entity, y - y.mean(), minlength=len(met)) / (met + SHRINK)
    left = y - y.mean() - shrunk[events.entity]
    left -= (np.bincount(task, left, minlength=len(counts)) / (counts + SHRINK))[task]
    table = np.zeros((len(counts), len(met)), np.float32)
    table[task, events.entity] = left
    gram = table.T @ table if len(met) < len(counts) else table @ table.T
    values = np.linalg.eigvalsh(gram)[::-1] / max(float((left**2).sum()), 1e-12)
    return {
        "median events of a task": float(np.median(counts)),
        "mean outcome": float(y.mean()),
        "deviation of outcomes": float(y.std()),
        "deviation of task means": float((np.bincount(task, y) / counts.clip(1)).std()),
        "deviation of entity means": float(means[met >= WELL_MET].std()) if (met >= WELL_MET).any() else 0.0,
        "share of the most met tenth": float(np.sort(met)[::-1][: len(met) // 10].sum() / met.sum()),
        "deviation left": float(left.std()),
        "share of the first factor": float(values[0]),
        "share of ten factors": float(values[:10].sum()),
    }
