"""Recommendation: sources and their statistics, exact posteriors, baselines, adapted models, a bandit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import metalab
from metalab.bandit import serve
from metalab.baselines_adverts import beta_prior, followed
from metalab.baselines_events import fitted_head
from metalab.baselines_products import PRODUCT_BASELINES, PRODUCT_FITTED
from metalab.catalogue import Catalogue
from metalab.config import RECOMMENDERS, Config
from metalab.data import create_source
from metalab.data.event_source import EventSource
from metalab.data.event_statistics import statistics
from metalab.data.events import gathered
from metalab.errors import DataError
from metalab.event_model import adapt_events
from metalab.execution import Runner
from metalab.inspection_events import inspect_events
from metalab.metalearners import metalearners
from metalab.metalearners.posterior import exact
from metalab.metalearners.recommending import PRODUCTS
from metalab.outcomes import area, calibration_error, ndcg
from metalab.own_events import held_out_user, rate, starters, watched
from metalab.shipped import load_trained
from metalab.tasks import SPLITS, Examples, TaskShape, seeded, task_list


def source_of(application: str) -> EventSource:
    return create_source(Config.create(application=application))


@pytest.fixture(scope="module")
def products() -> EventSource:
    return source_of(PRODUCTS)


@pytest.fixture(scope="module")
def adverts() -> EventSource:
    return source_of("ad-recommendation")


def test_the_shop_is_like_movielens(products: EventSource) -> None:
    """The numbers are MovieLens-100k's, as ``statistics(movielens.ratings())`` gives them."""
    found = statistics(products.events)
    for name, (real, apart) in {
        "median events of a task": (65, 10),
        "mean outcome": (3.53, 0.2),
        "deviation of outcomes": (1.126, 0.1),
        "deviation of task means": (0.445, 0.06),
        "deviation of entity means": (0.533, 0.1),
        "share of the most met tenth": (0.427, 0.05),
        "deviation left": (0.919, 0.06),
        "share of the first factor": (0.0245, 0.012),
        "share of ten factors": (0.126, 0.03),
    }.items():
        assert abs(found[name] - real) < apart, (name, found[name])


def test_campaigns_have_a_few_clicks_in_a_hundred(adverts: EventSource) -> None:
    events = adverts.events
    rates = np.array([events.outcome[events.rows(i)].mean() for i in range(len(events))])
    assert 0.02 < events.outcome.mean() < 0.05
    assert 0.005 < np.quantile(rates, 0.05) < np.quantile(rates, 0.95) < 0.12
    places = events.context[:, :4]
    by_place = (events.outcome[:, None] * places).sum(0) / places.sum(0)
    assert list(by_place) == sorted(by_place, reverse=True)  # lower places are clicked less
    first, other = beta_prior(adverts)
    assert abs(first / (first + other) - rates[adverts.tasks["train"]].mean()) < 2e-3
    assert np.array_equal(source_of("ad-recommendation").events.outcome, events.outcome)


@pytest.mark.parametrize("application", RECOMMENDERS)
def test_splits_share_no_task_and_queries_come_later(application: str) -> None:
    source = source_of(application)
    held = [set(source.tasks[split].tolist()) for split in SPLITS]
    assert sum(map(len, held)) == len(set.union(*held)) == len(source.events)
    digests = [{one for rows in source.originals(split).values() for one in rows} for split in SPLITS]
    assert sum(map(len, digests)) == len(set.union(*digests))
    rng = np.random.default_rng(0)
    for task in source.eligible("test", 20)[:20].tolist():
        support, query = source.divided(task, TaskShape(1, 20, 30), rng)
        assert not set(support) & set(query)
        assert set(support) | set(query) <= set(range(*source.events.starts[task : task + 2]))
        if source.by_time:
            assert source.events.time[support].max() <= source.events.time[query].min()
    if source.by_time:  # campaigns of meta-test began last
        first = [source.events.time[source.events.starts[:-1][source.tasks[split]]] for split in SPLITS]
        assert first[0].max() <= first[1].min()
        assert first[1].max() <= first[2].min()


def test_unknown_entities_have_number_0_and_padding_a_mask() -> None:
    """Entity 5 is met by the last task alone, which meta-train does not hold."""
    task, entity = np.repeat(np.arange(10), 6), np.tile(np.arange(6), 10)
    entity[(task < 9) & (entity == 5)] = 4
    events = gathered(
        task,
        entity,
        np.ones(60),
        np.arange(60),
        task_features=np.zeros((10, 0)),
        entity_features=np.arange(12.0).reshape(6, 2),
        task_names=[f"t{i}" for i in range(10)],
        entity_names=[f"e{i}" for i in range(6)],
        feature_names=("a", "b"),
    )
    source = EventSource("made", events, by_time=True)
    assert source.known.tolist() == [1, 2, 3, 4, 5, 0]
    batch = source.sample(1, "test", TaskShape(1, 3, 7), seeded("cpu", 0))
    assert batch.query.mask.sum() == 3
    assert batch.query.x[0, ~batch.query.mask[0]].abs().sum() == 0
    assert source.described(np.array([5]), np.array([9]), np.zeros((1, 0), np.float32)).tolist() == [
        [0, 10, 11]
    ]
    with pytest.raises(DataError, match="no task of test has 7 events"):
        source.check(TaskShape(1, 4, 3), "test")


def test_the_exact_posterior_is_that_of_gaussians() -> None:
    rng = torch.Generator().manual_seed(0)
    rows, error = (torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in ((7, 4), (7,)))
    prior = torch.tril(torch.randn(4, 4, generator=rng, dtype=torch.float64)) + torch.eye(4)
    noise = torch.tensor(0.3, dtype=torch.float64)
    change, root = exact(rows, error, prior, noise)
    precision = torch.linalg.inv(prior @ prior.t()) + rows.t() @ rows / noise
    torch.testing.assert_close(root @ root.t(), torch.linalg.inv(precision))
    torch.testing.assert_close(change, torch.linalg.solve(precision, rows.t() @ error / noise))
    padded = torch.cat([rows, torch.zeros(3, 4)]), torch.cat([error, torch.zeros(3)])
    torch.testing.assert_close(exact(*padded, prior, noise)[0], change)


def test_a_logistic_head_is_scikit_learns() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(60, 3)), rng.random(60) < 0.4
    model = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-10).fit(rows, y)
    support = Examples(torch.from_numpy(rows), torch.from_numpy(y[:, None].astype(float)))
    head = fitted_head(support.x, support.x.new_zeros(60), support, 2.0, clicks=True)
    np.testing.assert_allclose(head.numpy(), model.coef_[0], atol=1e-5)


def test_learning_online_goes_towards_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([1.5, -1.0, 0.0])
    rows = rng.normal(size=(4000, 3))
    clicked = (rng.random(4000) < 1 / (1 + np.exp(-rows @ truth))).astype(np.float32)
    change = followed(rows, clicked, np.zeros(3))
    assert np.abs(change - truth).max() < 0.5
    assert np.abs(followed(rows[:1], clicked[:1], np.zeros(3))).max() < 0.2


def test_scores_by_hand() -> None:
    assert ndcg(np.array([3.0, 2, 1]), np.array([3.0, 2, 1])) == pytest.approx(1)
    worst = (1 / 1 + 3 / np.log2(3) + 7 / 2) / (7 / 1 + 3 / np.log2(3) + 1 / 2)
    assert ndcg(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(worst)
    assert area(np.array([0.1, 0.9, 0.5]), np.array([0.0, 1, 0])) == 1
    assert area(np.array([0.1, 0.9]), np.zeros(2)) == 0.5
    assert calibration_error(np.full(100, 0.3), np.arange(100) < 30) < 0.71
    assert calibration_error(np.full(100, 0.3), np.tile([1.0] * 3 + [0.0] * 7, 10)) == pytest.approx(0)


@pytest.mark.parametrize("application", RECOMMENDERS)
def test_every_way_of_running_gives_the_same_gradients(application: str) -> None:
    config = Config.create(application=application)
    source, pretrained = create_source(config), metalab.create_pretrain_model(config)
    batch = source.sample(3, "train", TaskShape(1, 20, 30), seeded("cpu", 1))
    for name in metalearners(application):
        learner = metalab.create_metalearner(name, pretrained).double()
        learner.backbone.requires_grad_(True)
        doubled = type(batch)(*(_double(part) for part in (batch.support, batch.query)), 1, batch.classes)
        parameters = [one for one in learner.parameters() if one.requires_grad]
        loop, batched = (Runner(way).meta_gradient(learner, doubled, parameters) for way in ("loop", "vmap"))
        torch.testing.assert_close(loop[0], batched[0])
        torch.testing.assert_close(loop[2], batched[2], rtol=1e-6, atol=1e-8)
        assert sum(float(one.abs().sum()) for one in loop[2]) > 0


def _double(part: Examples) -> Examples:
    return Examples(part.x.double(), part.y.double(), part.mask)


def test_adapting_helps_held_out_users_and_campaigns(products: EventSource, adverts: EventSource) -> None:
    for name, source, shape in (
        ("set-taste", products, TaskShape(1, 10, 50)),
        ("set-clicks", adverts, TaskShape(1, 400, 300)),
    ):
        learner, losses = load_trained(name).metalearner, []
        for batch in task_list(source, 80, "test", shape, 7):
            for task in batch:
                with torch.no_grad():
                    states = learner.prior(), learner.adapt(task.support, 1)
                    losses.append(
                        [learner.loss(learner.predict(s, task.query.x), task.query) for s in states]
                    )
        before, after = np.array(losses).T
        assert (before - after).mean() > 2 * (before - after).std() / np.sqrt(len(before)), name


def test_baselines_of_products_know_what_they_should(products: EventSource) -> None:
    pretrained = load_trained("set-taste").pretrained
    made = {name: make(pretrained) for name, _, make in PRODUCT_BASELINES}
    made |= {name: make(pretrained, products) for name, _, make in PRODUCT_FITTED}
    errors: dict[str, list[float]] = {name: [] for name in made}
    for batch in task_list(products, 60, "validation", TaskShape(1, 10, 50), 3):
        for number, task in enumerate(batch):
            kept = task.query.weights().bool()
            for name, method in made.items():
                out = method(task, number)
                assert out.shape == task.query.y.shape, name
                errors[name].append(float((out - task.query.y)[kept].square().mean().sqrt()))
    mean = {name: np.mean(values) for name, values in errors.items()}
    assert mean["folded-in"] < mean["biases"] < mean["item-mean"] < mean["user-mean"] + 0.1
    assert mean["neighbours"] < mean["item-mean"]
    assert mean["boosting"] < mean["item-mean"]


def test_a_list_of_ones_own_saved_and_read(products: EventSource, tmp_path: Path) -> None:
    learner = load_trained("set-taste").metalearner
    names = starters(products)
    catalogue = Catalogue.of(products)
    model = adapt_events(learner, catalogue, names[:4], [5, 1, 5, 2])
    found = model.suggest(10)
    assert not {one.name for one in found} & set(names[:4])
    assert [one.expected for one in found] == sorted((one.expected for one in found), reverse=True)
    assert all(one.low <= one.expected <= one.high for one in found)
    assert {one.because for one in found} <= {names[0], names[2], None}  # of what was liked
    model.save(tmp_path / "m.safetensors")
    again = metalab.load(tmp_path / "m.safetensors")
    assert again.suggest(10) == found
    assert again.predict(names) == model.predict(names)
    other = adapt_events(learner, catalogue, names[:4], [1, 5, 1, 5]).suggest(10)
    assert len({one.name for one in other} & {one.name for one in found}) < 5


def test_bad_ratings_are_named(products: EventSource) -> None:
    learner, catalogue = load_trained("set-taste").metalearner, Catalogue.of(products)
    name = catalogue.names[0]
    with pytest.raises(DataError, match="Did you mean"):
        adapt_events(learner, catalogue, [name[:-1]], [3])
    with pytest.raises(DataError, match=r"outcomes\[0\].*outside of 1 to 5"):
        adapt_events(learner, catalogue, [name], [9])
    x = catalogue.x[:3].numpy()
    result = metalab.task_learning(learner, x, [5, 1, 3], x, [5, 1, 3])
    assert result.accuracy > 0.5
    with pytest.raises(DataError, match=r"train_data.*\(n, 14\) is needed"):
        metalab.task_learning(learner, x[:, :4], [5, 1, 3], x)


def test_a_held_out_user_and_campaign_are_judged(products: EventSource, adverts: EventSource) -> None:
    task = held_out_user(products, 3, 10)
    assert not set(task.names) & set(task.query_names)
    listed = rate(load_trained("set-taste").metalearner, products, task)
    assert len(listed.after) == len(listed.before) == 10
    assert set(listed.scores) == {"NDCG@5", "Error (RMSE)"}
    held = watched(load_trained("bayes-clicks").metalearner, adverts, 0)
    widths = [one.high - one.low for one in held.estimates]
    assert widths[-1] < 0.8 * widths[0]
    assert held.estimates[0].own is None
    assert all(one.low < one.rate < one.high for one in held.estimates)


def test_thompson_sampling_misses_fewer_clicks_than_chance(adverts: EventSource) -> None:
    learner = load_trained("bayes-clicks").metalearner

    def regrets() -> dict[str, float]:
        found = serve(learner, adverts, advertisements=6, steps=300, repetitions=6)
        return {one.policy: float(one.regret[:, -1].mean()) for one in found}

    first = regrets()
    assert first["meta"] < 0.8 * first["random"]
    assert first["meta"] < first["beta"]
    assert regrets() == first


def test_held_out_tasks_as_points(products: EventSource) -> None:
    model = load_trained("set-taste")
    view = inspect_events(model.metalearner, model.pretrained, products, TaskShape(1, 10, 50))
    assert [stage.name for stage in view.stages] == ["pre-trained", "adapted"]
    assert len(view.labels) == len(view.captions) == 240
    assert view.stages[1].accuracy > view.stages[0].accuracy
