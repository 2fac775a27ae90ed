"""Made-up campaigns: advertisements, viewers and clicks; a few in a hundred impressions are clicked.

Every number is drawn from one fixed seed. A viewer has interests, of which his profile tells roughly; how an
advertisement answers them comes partly from its category and format (which can be seen) and partly from
itself (which only clicks tell). Lower places on the page are clicked less, evenings more, and every campaign
tires with time. ``tests/test_campaigns.py`` holds the statistics.
"""

from __future__ import annotations

import functools

import numpy as np

from metalab.data.events import Events, gathered

SEED = 20_240_612
CAMPAIGNS, VIEWERS, FACTORS = 700, 4000, 6
CATEGORIES = ("cars", "cosmetics", "fashion", "finance", "food", "games", "health", "travel")
FORMATS = ("banner", "story", "video")
AGES, PLACES = ("under 25", "25 to 44", "45 and over"), ("first", "second", "third", "last")
DAY, SPAN = 86_400, 90
"""Seconds of a day, and days in which campaigns begin."""
BASE = -3.5
"""Logit of a click at the first place, at the mean of everything else."""
FATIGUE, BY_PLACE = 0.25, np.array([0.0, -0.3, -0.6, -1.0])


@functools.cache
def campaigns() -> Events:
    """Return all impressions: tasks are campaigns, entities viewers, outcome 1 is a click."""
    rng = np.random.default_rng(SEED)
    interests = rng.normal(size=(VIEWERS, FACTORS))
    told = (interests + 0.75 * rng.normal(size=interests.shape)) / 1.25  # a profile tells of them roughly
    age = rng.integers(0, len(AGES), VIEWERS)
    activity = np.exp(rng.normal(size=VIEWERS))

    category = rng.integers(0, len(CATEGORIES), CAMPAIGNS)
    form = rng.integers(0, len(FORMATS), CAMPAIGNS)
    by_category = rng.normal(size=(len(CATEGORIES), FACTORS))
    answer = (
        np.sqrt(0.4) * by_category[category] + np.sqrt(0.6) * rng.normal(size=(CAMPAIGNS, FACTORS))
    ) * 0.45
    by_age = 0.35 * rng.normal(size=(CAMPAIGNS, len(AGES)))
    quality = 0.45 * rng.normal(size=CAMPAIGNS) + 0.3 * rng.normal(size=len(CATEGORIES))[category]
    quality += np.array([-0.2, 0.0, 0.2])[form]

    sizes = np.minimum(400 + np.exp(rng.normal(5.9, 0.8, CAMPAIGNS)).astype(int), 4000)
    task = np.repeat(np.arange(CAMPAIGNS), sizes)
    began = rng.random(CAMPAIGNS) * SPAN * DAY
    lasts = (5 + 15 * rng.random(CAMPAIGNS)) * DAY
    passed = rng.random(len(task))
    time = began[task] + passed * lasts[task]
    viewer = rng.choice(VIEWERS, len(task), p=activity / activity.sum())
    place = rng.choice(len(PLACES), len(task), p=[0.4, 0.3, 0.2, 0.1])
    hour = time % DAY / DAY * 2 * np.pi
    logit = (
        BASE
        + quality[task]
        + (interests[viewer] * answer[task]).sum(1)
        + by_age[task, age[viewer]]
        + BY_PLACE[place]
        - 0.2 * np.sin(hour)
        - FATIGUE * 2 * passed
    )
    clicked = rng.random(len(task)) < 1 / (1 + np.exp(-logit))
    return gathered(
        task,
        viewer,
        clicked.astype(float),
        time.astype(np.int64),
        task_features=np.hstack([np.eye(len(CATEGORIES))[category], np.eye(len(FORMATS))[form]]),
        entity_features=np.hstack([told, np.eye(len(AGES))[age]]),
        context=np.hstack([np.eye(len(PLACES))[place], np.sin(hour)[:, None], np.cos(hour)[:, None]]),
        task_names=[
            f"campaign {i + 1}: {CATEGORIES[c]}, {FORMATS[f]}"
            for i, (c, f) in enumerate(zip(category.tolist(), form.tolist(), strict=True))
        ],
        entity_names=[f"viewer {i + 1}" for i in range(VIEWERS)],
        feature_names=(
            *(f"interest {i + 1}" for i in range(told.shape[1])),
            *(f"age {name}" for name in AGES),
            *CATEGORIES,
            *FORMATS,
            *(f"{name} place" for name in PLACES),
            "time of day (sine)",
            "time of day (cosine)",
        ),
        scale=(0.0, 1.0),
    )
