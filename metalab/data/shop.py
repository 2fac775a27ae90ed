"""A made-up shop: products, customers and their ratings, with statistics close to MovieLens-100k's.

Every number here is drawn from one fixed seed, so the shop is the same everywhere; nothing is downloaded.
A customer's taste is a Gaussian vector; a product's answer to it comes partly from its categories (which can
be seen) and partly from itself (which has to be learnt from ratings). Customers buy what is popular and what
they will like, so ratings are missing not at random, as in life. ``tests/test_shop.py`` holds the statistics
beside MovieLens'.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from metalab.data.events import Events, gathered

SEED = 20_240_611
CUSTOMERS, FACTORS = 3000, 12
CATEGORIES: dict[str, tuple[str, ...]] = {
    "crime": ("Alibi", "Witness", "Verdict", "Cellar", "Ransom"),
    "comedy": ("Wedding", "Neighbour", "Picnic", "Cousin", "Parade"),
    "romance": ("Letter", "Harbour", "Summer", "Promise", "Garden"),
    "science fiction": ("Orbit", "Colony", "Signal", "Machine", "Horizon"),
    "fantasy": ("Dragon", "Kingdom", "Spell", "Forest", "Crown"),
    "history": ("Empire", "Voyage", "Treaty", "Citadel", "Dynasty"),
    "horror": ("Shadow", "Attic", "Whisper", "Swamp", "Curse"),
    "children": ("Rabbit", "Balloon", "Teddy", "Puddle", "Circus"),
    "war": ("Trench", "Convoy", "Bridge", "Siege", "Armistice"),
    "music": ("Melody", "Orchestra", "Chorus", "Ballad", "Encore"),
    "travel": ("Desert", "Island", "Railway", "Border", "Compass"),
    "drama": ("Inheritance", "Daughter", "Silence", "Winter", "House"),
}
ADJECTIVES = (
    "Amber",
    "Broken",
    "Crimson",
    "Distant",
    "Empty",
    "Final",
    "Golden",
    "Hidden",
    "Iron",
    "Joyful",
    "Last",
    "Little",
    "Lonely",
    "Marble",
    "Northern",
    "Open",
    "Pale",
    "Quiet",
    "Restless",
    "Secret",
    "Silver",
    "Stolen",
    "Sunken",
    "Velvet",
    "Wandering",
    "White",
    "Wild",
    "Winding",
    "Yellow",
    "Second",
)
_SPECTRUM = 0.78 ** np.arange(FACTORS)
"""Deviation of each factor of taste, before scaling."""


@functools.cache
def shop() -> Events:
    """Return the ratings, 1 to 5, of all customers; tasks are customers, entities products."""
    rng = np.random.default_rng(SEED)
    names, member = _products(rng)
    products = len(names)
    scale = _SPECTRUM / np.sqrt((_SPECTRUM**2).sum())
    # A product's factors: its categories' (seen) and its own (hidden), each half of the variance.
    by_category = rng.normal(size=(member.shape[1], FACTORS))
    shared = member @ by_category / np.sqrt(member.sum(1, keepdims=True))
    factors = np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.normal(size=(products, FACTORS))
    year = rng.integers(1950, 2024, products)
    quality = 0.52 * rng.normal(size=products) - 0.004 * (year - 1990)
    fame = 1.55 * rng.normal(size=products) + 0.9 * quality

    taste = rng.normal(size=(CUSTOMERS, FACTORS)) * scale
    generosity = 0.42 * rng.normal(size=CUSTOMERS)
    liking = taste @ factors.T  # (customers, products), about unit deviation
    wanted = fame + 0.55 * liking
    keys = wanted + rng.gumbel(size=wanted.shape)
    counts = np.minimum(20 + np.exp(rng.normal(3.75, 1.1, CUSTOMERS)).astype(int), products // 2)
    order = np.argsort(-keys, axis=1)
    task = np.repeat(np.arange(CUSTOMERS), counts)
    entity = np.concatenate([row[:count] for row, count in zip(order, counts, strict=True)])
    exact = (
        3.2
        + generosity[task]
        + quality[entity]
        + 0.52 * liking[task, entity]
        + 0.85 * rng.normal(size=len(task))
    )
    time = rng.random(len(task)) * 3e7
    return gathered(
        task,
        entity,
        exact.round().clip(1, 5),
        time.astype(np.int64),
        task_features=np.zeros((CUSTOMERS, 0)),
        entity_features=np.column_stack([member, (year - 1990) / 20]),
        task_names=[f"customer {i + 1}" for i in range(CUSTOMERS)],
        entity_names=[f"{name} ({when})" for name, when in zip(names, year.tolist(), strict=True)],
        feature_names=(*CATEGORIES, "year"),
        scale=(1.0, 5.0),
    )


def _products(rng: np.random.Generator) -> tuple[list[str], NDArray[np.float64]]:
    """Return the products' names and which categories each is of (products, categories), one to three."""
    categories = list(CATEGORIES)
    names, member = [], []
    for number, category in enumerate(categories):
        for noun in CATEGORIES[category]:
            for adjective in rng.permutation(ADJECTIVES)[:20]:
                row = np.zeros(len(categories))
                row[number] = 1
                row[rng.choice(len(categories), rng.integers(0, 3), replace=False)] = 1
                names.append(f"{adjective} {noun}")
                member.append(row)
    return names, np.array(member)
