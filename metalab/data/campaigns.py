"""Made-up campaigns: advertisements, viewers and clicks; a few in a hundred impressions are clicked.

Every number is drawn from one fixed seed. A viewer has interests, of which the profile tells roughly; how an
advertisement answers them comes partly from its category and format (which can be seen) and partly from
itself (which only clicks tell). Lower places on the page are clicked less, evenings more, and every campaign
tires with time. ``tests/test_campaigns.py`` holds the statistics.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metalab.data.events import Events, Floats, gathered

SEED = 20_240_612
CAMPAIGNS, VIEWERS, FACTORS = 1200, 4000, 6
CATEGORIES = ("cars", "cosmetics", "fashion", "finance", "food", "games", "health", "travel")
FORMATS = ("banner", "story", "video")
AGES, PLACES = ("under 25", "25 to 44", "45 and over"), ("first", "second", "third", "last")
DAY, SPAN = 86_400, 90
"""Seconds of a day, and days in which campaigns begin."""
BASE = -3.5
"""Logit of a click at the first place, at the mean of everything else."""
ANSWER, SEEN = 0.45, 0.4
"""Deviation of a campaign's answer to one interest, and the share of its variance that the category tells."""
VAGUE = 0.75
"""Deviation of the noise with which a profile tells an interest of unit deviation."""
FATIGUE, BY_PLACE, BY_HOUR = 0.5, np.array([0.0, -0.3, -0.6, -1.0]), -0.2


@dataclass(frozen=True, eq=False)
class World:
    """What decides about clicks, most of it hidden: per viewer ``interests``, ``age``; per campaign
    ``answer`` to the interests, to the ``ages``, ``quality``; and what can be seen of both."""

    interests: NDArray[np.float64]
    age: NDArray[np.int64]
    activity: NDArray[np.float64]
    answer: NDArray[np.float64]
    ages: NDArray[np.float64]
    quality: NDArray[np.float64]
    category: NDArray[np.int64]
    form: NDArray[np.int64]
    profile: NDArray[np.float64]

    def chances(
        self,
        campaign: NDArray[np.integer],
        viewer: NDArray[np.integer],
        place: NDArray[np.integer],
        hour: NDArray[np.floating],
        passed: NDArray[np.floating],
    ) -> NDArray[np.float64]:
        """Return the true chance of a click (all broadcast): ``hour`` as a share of the day, ``passed`` as a
        share of the campaign."""
        logit = (
            BASE
            + self.quality[campaign]
            + (self.interests[viewer] * self.answer[campaign]).sum(-1)
            + self.ages[campaign, self.age[viewer]]
            + BY_PLACE[place]
            + BY_HOUR * np.sin(2 * np.pi * hour)
            - FATIGUE * passed
        )
        return 1 / (1 + np.exp(-logit))


@functools.cache
def world() -> World:
    """Return the one world of :func:`campaigns`."""
    rng = np.random.default_rng(SEED)
    interests = rng.normal(size=(VIEWERS, FACTORS))
    category = rng.integers(0, len(CATEGORIES), CAMPAIGNS)
    form = rng.integers(0, len(FORMATS), CAMPAIGNS)
    own, shared = rng.normal(size=(CAMPAIGNS, FACTORS)), rng.normal(size=(len(CATEGORIES), FACTORS))
    quality = 0.45 * rng.normal(size=CAMPAIGNS) + 0.3 * rng.normal(size=len(CATEGORIES))[category]
    return World(
        interests,
        age=rng.integers(0, len(AGES), VIEWERS),
        activity=np.exp(rng.normal(size=VIEWERS)),
        answer=ANSWER * (np.sqrt(SEEN) * shared[category] + np.sqrt(1 - SEEN) * own),
        ages=0.35 * rng.normal(size=(CAMPAIGNS, len(AGES))),
        quality=quality + np.array([-0.2, 0.0, 0.2])[form],
        category=category,
        form=form,
        profile=(interests + VAGUE * rng.normal(size=interests.shape)) / np.hypot(1, VAGUE),
    )


def context(place: NDArray[np.integer], hour: NDArray[np.floating]) -> Floats:
    """Return what describes an impression besides viewer and campaign (n, 6)."""
    angle = 2 * np.pi * hour[:, None]
    return np.hstack([np.eye(len(PLACES))[place], np.sin(angle), np.cos(angle)]).astype(np.float32)


@functools.cache
def campaigns() -> Events:
    """Return all impressions: tasks are campaigns, entities viewers, outcome 1 is a click."""
    held, rng = world(), np.random.default_rng(SEED + 1)
    sizes = np.minimum(400 + np.exp(rng.normal(5.9, 0.8, CAMPAIGNS)).astype(int), 4000)
    task = np.repeat(np.arange(CAMPAIGNS), sizes)
    began, lasts = rng.random(CAMPAIGNS) * SPAN * DAY, (5 + 15 * rng.random(CAMPAIGNS)) * DAY
    passed = rng.random(len(task))
    time = began[task] + passed * lasts[task]
    viewer = rng.choice(VIEWERS, len(task), p=held.activity / held.activity.sum())
    place = rng.choice(len(PLACES), len(task), p=[0.4, 0.3, 0.2, 0.1])
    hour = time % DAY / DAY
    clicked = rng.random(len(task)) < held.chances(task, viewer, place, hour, passed)
    return gathered(
        task,
        viewer,
        clicked.astype(float),
        time.astype(np.int64),
        task_features=np.hstack([np.eye(len(CATEGORIES))[held.category], np.eye(len(FORMATS))[held.form]]),
        entity_features=np.hstack([held.profile, np.eye(len(AGES))[held.age]]),
        context=context(place, hour),
        task_names=[
            f"campaign {i + 1}: {CATEGORIES[c]}, {FORMATS[f]}"
            for i, (c, f) in enumerate(zip(held.category.tolist(), held.form.tolist(), strict=True))
        ],
        entity_names=[f"viewer {i + 1}" for i in range(VIEWERS)],
        feature_names=(
            *(f"interest {i + 1}" for i in range(FACTORS)),
            *(f"age {name}" for name in AGES),
            *CATEGORIES,
            *FORMATS,
            *(f"{name} place" for name in PLACES),
            "time of day (sine)",
            "time of day (cosine)",
        ),
        scale=(0.0, 1.0),
    )
