"""The dry run itself runs in tests of the CLI; here: the queue of dry runs beside a page."""

from __future__ import annotations

import threading
import time

import pytest

from metalab import estimate as module
from metalab.config import Config
from metalab.errors import JobError
from metalab.estimate import BackgroundEstimator, Estimate

CONFIG = Config.create()


def answer(estimator: BackgroundEstimator) -> Estimate:
    deadline = time.monotonic() + 20
    while (found := estimator.result(CONFIG)) is None:
        assert time.monotonic() < deadline, "no answer"
        time.sleep(0.01)
    return found


def test_an_estimate_is_made_beside_the_caller_and_anew_when_asked_again(monkeypatch) -> None:
    go, seconds = threading.Event(), []

    def estimate(config: Config) -> Estimate:
        go.wait(20)
        seconds.append(float(len(seconds)))
        return Estimate({"meta-training": seconds[-1]}, 1)

    monkeypatch.setattr(module, "estimate", estimate)
    estimator = BackgroundEstimator()
    assert not estimator.asked(CONFIG)
    assert not estimator.ready(CONFIG)
    estimator.submit(CONFIG)
    estimator.submit(CONFIG)  # being made: not twice
    assert estimator.asked(CONFIG)
    assert estimator.result(CONFIG) is None
    assert estimator.busy()
    go.set()
    assert answer(estimator).total == 0.0
    assert not estimator.busy()
    estimator.submit(CONFIG)
    while answer(estimator).total == 0.0:
        pass
    assert seconds == [0.0, 1.0]


def test_a_failed_estimate_says_why_and_can_be_asked_for_again(monkeypatch) -> None:
    tries = []

    def estimate(config: Config) -> Estimate:
        tries.append(config)
        raise JobError("no room", where="dry run")

    monkeypatch.setattr(module, "estimate", estimate)
    estimator = BackgroundEstimator()
    estimator.submit(CONFIG)
    with pytest.raises(JobError, match="no room"):
        answer(estimator)
    assert estimator.ready(CONFIG), "nobody who only looks begins it anew"
    estimator.submit(CONFIG)
    with pytest.raises(JobError, match="no room"):
        answer(estimator)
    assert len(tries) == 2
