from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator

import numpy as np
import pytest
from safetensors.numpy import load, save
from scipy.spatial.distance import pdist
from sklearn.manifold import trustworthiness
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from metalab.embeddings import BackgroundEmbedder, Embedding, Scores, embed, linear_cka, scores
from metalab.errors import ConfigError, DataError, MetalabError


def task(points: int = 40, classes: int = 4, width: int = 16, spread: float = 8.0):
    """Features before (noise), after (classes ``spread`` apart), and labels."""
    random = np.random.default_rng(0)
    labels = np.arange(points) % classes
    before = random.normal(size=(points, width))
    return before, before + spread * np.eye(classes, width)[labels], labels


def wait(embedder: BackgroundEmbedder, key: object, seconds: float = 60) -> Embedding:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (embedding := embedder.result(key)) is not None:
            return embedding
        time.sleep(0.02)
    raise AssertionError("no result")


def worker_pid(embedder: BackgroundEmbedder) -> int:
    return next(iter(embedder._pool._processes))


@pytest.fixture(scope="module")
def embedder() -> Iterator[BackgroundEmbedder]:
    with BackgroundEmbedder(cache=3) as embedder:
        yield embedder


# The picture


def test_one_linear_map_serves_all_stages():
    a, b = np.random.default_rng(0).normal(size=(2, 30, 2))
    aligned = np.concatenate(
        [(x - x.mean(0)) / np.sqrt(((x - x.mean(0)) ** 2).sum(1).mean()) for x in (a, b)]
    )
    embedding = embed({"before": a, "after": b}, "pca")
    assert (embedding.method, embedding.stages) == ("pca", ("before", "after"))
    assert embedding.coordinates.shape == (2, 30, 2)
    assert embedding.coordinates.dtype == np.float32
    # In two dimensions PCA only turns: all distances stay, within a stage and from stage to stage.
    np.testing.assert_allclose(pdist(embedding.coordinates.reshape(60, 2)), pdist(aligned), atol=1e-5)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_moving_or_scaling_a_whole_stage_changes_nothing(method):
    before, _, _ = task()
    first, second = embed({"before": before, "after": 64 * before + 4}, method).coordinates
    np.testing.assert_allclose(first, second, atol=1e-2 if method == "tsne" else 1e-5)


def test_a_stage_that_did_not_change_stays_where_it_was():
    before, after, _ = task()
    first, second, third = embed({"a": before, "b": before, "c": after}, "tsne").coordinates
    assert np.array_equal(first, second)
    assert not np.allclose(first, third, atol=1)


def test_the_seed_fixes_the_picture():
    before, after, _ = task()
    one, same = (embed({"a": before, "b": after}, "tsne", seed=3).coordinates for _ in range(2))
    assert np.array_equal(one, same)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize(("points", "width"), [(2, 1), (3, 8), (10, 1), (10, 64)])
def test_few_points_and_dimensions(method, points, width):
    a, b = np.random.default_rng(0).normal(size=(2, points, width))
    coordinates = embed({"a": a, "b": b}, method).coordinates
    assert coordinates.shape == (2, points, 2)
    assert np.isfinite(coordinates).all()
    assert coordinates.std() > 0


@pytest.mark.filterwarnings("error")
def test_constant_features_lie_on_one_spot_and_say_who_drew_them():
    embedding = embed({"a": np.full((10, 4), 0.1), "b": np.full((10, 4), 3.0)}, "umap")
    assert embedding.method == "pca"
    assert not embedding.coordinates.any()


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ({}, "no stages"),
        ({"a": np.zeros((1, 3))}, "1 points"),
        ({"a": np.zeros(3)}, r"shape \(3,\)"),
        ({"a": np.zeros((3, 0))}, "shape"),
        ({"a": np.ones((3, 2)), "b": np.ones((3, 4))}, "differ in shape"),
        ({"a": np.ones((3, 2)), "b": np.ones((4, 2))}, "differ in shape"),
        ({"a": np.ones((3, 2)), "late": np.array([[1, 2], [np.nan, 0], [0, 0]])}, "late: .*NaN"),
        ({"a": np.array([[1, 2], [np.inf, 0]])}, "infinite"),
    ],
)
def test_bad_features_are_refused(stages, words):
    with pytest.raises(DataError, match=words):
        embed(stages, "pca")


def test_unknown_method():
    with pytest.raises(ConfigError, match="isomap"):
        embed({"a": np.ones((3, 3))}, "isomap")  # type: ignore[arg-type]


def test_round_trip_through_safetensors_and_json():
    embedding = embed({"a": task()[0], "b": task()[1]}, "pca")
    arrays, metadata = embedding.to_arrays()
    again = Embedding.from_arrays(load(save(arrays)), json.loads(json.dumps(metadata)))
    assert (again.method, again.stages) == (embedding.method, embedding.stages)
    assert np.array_equal(again.coordinates, embedding.coordinates)
    with pytest.raises(DataError, match="1 stages"):
        Embedding.from_arrays(arrays, {**metadata, "stages": ["a"]})
    with pytest.raises(DataError, match="not a stored embedding"):
        Embedding.from_arrays({}, metadata)


# Scores


def test_silhouette_of_a_worked_example():
    result = scores(np.array([[0.0], [1], [10], [11]]), ["a", "a", "b", "b"])
    assert result.silhouette == pytest.approx(((10.5 - 1) / 10.5 + (9.5 - 1) / 9.5) / 2)
    assert result.neighbour_accuracy == 1
    assert result.trustworthiness is None


def test_neighbour_accuracy_is_leave_one_out_with_five_neighbours():
    before, _, labels = task(60, classes=2, spread=0)
    before[:, 0] += labels
    expected = cross_val_score(KNeighborsClassifier(5), before, labels, cv=LeaveOneOut()).mean()
    assert 0.5 < expected < 1
    assert scores(before, labels).neighbour_accuracy == pytest.approx(expected)


def test_neighbour_accuracy_asks_fewer_than_the_smallest_class_and_skips_lone_points():
    x = np.array([[0.0], [1], [3], [10], [11], [30]])  # three, two, and one alone: one neighbour is asked
    assert scores(x, [0, 0, 0, 1, 1, 2]).neighbour_accuracy == 1
    assert scores(x, [0, 1, 0, 1, 0, 2]).neighbour_accuracy == 0


def test_trustworthiness_of_a_true_and_a_shuffled_picture():
    x = np.random.default_rng(0).normal(size=(40, 2))
    labels, shuffled = np.arange(40) % 2, np.random.default_rng(1).permutation(x)
    assert scores(x, labels, x).trustworthiness == 1
    expected = trustworthiness(x, shuffled, n_neighbors=5)
    assert scores(x, labels, shuffled).trustworthiness == pytest.approx(expected)
    assert expected < 0.7


def test_scores_rise_when_classes_part():
    before, after, labels = task()
    first, second = scores(before, labels), scores(after, labels)
    assert first.silhouette < 0.1 < 0.5 < second.silhouette
    assert first.neighbour_accuracy < 0.6 < second.neighbour_accuracy


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("points", "labels", "expected"),
    [
        (np.full((6, 3), 0.1), [0, 0, 0, 1, 1, 1], Scores(None, None, None)),
        (np.eye(4), [0, 1, 2, 3], Scores(None, None, None)),
        (np.eye(4), [0, 0, 0, 0], Scores(None, None, None)),
        (np.array([[0.0], [1.0]]), [0, 1], Scores(None, None, None)),
    ],
)
def test_undefined_scores_are_none(points, labels, expected):
    assert scores(points, labels, np.zeros((len(points), 2))) == expected


def test_scores_refuse_bad_input():
    with pytest.raises(DataError, match="NaN"):
        scores([[np.nan], [1]], [0, 1])
    with pytest.raises(DataError, match="length"):
        scores(np.eye(3), [0, 1])
    with pytest.raises(DataError, match="length"):
        scores(np.eye(3), [0, 1, 1], np.zeros((2, 2)))


def test_linear_cka_is_kornblith_s():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(30, 5)), random.normal(size=(30, 8))
    x, y = a - a.mean(0), b - b.mean(0)
    expected = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert linear_cka(a, b) == pytest.approx(expected)
    turn, _ = np.linalg.qr(random.normal(size=(5, 5)))
    assert linear_cka(a, 3 * a @ turn + 7) == pytest.approx(1)
    assert linear_cka(a, np.full((30, 4), 0.1)) is None
    with pytest.raises(DataError, match="29 after"):
        linear_cka(a, b[:29])


# In the background


def test_umap_in_the_background(embedder):
    umap_was_here = "umap" in sys.modules
    before, after, labels = task()
    for key in ("one", "two"):
        embedder.submit(key, {"before": before, "same": before, "after": after}, "umap", seed=1)
    assert embedder.result("one") is None  # it has to compile first
    one, two = wait(embedder, "one"), wait(embedder, "two")
    assert (one.method, one.stages) == ("umap", ("before", "same", "after"))
    assert np.array_equal(one.coordinates, two.coordinates)
    assert np.array_equal(one.coordinates[0], one.coordinates[1])
    assert scores(one.coordinates[2], labels).silhouette > 0.5
    assert embedder.result("one") is not None, "a result can be read again"
    assert ("umap" in sys.modules) == umap_was_here


def test_umap_of_ten_points(embedder):
    a, b = np.random.default_rng(0).normal(size=(2, 10, 64))
    embedder.submit("ten", {"a": a, "b": b}, "umap")
    embedding = wait(embedder, "ten")
    assert embedding.method == "umap"
    assert np.isfinite(embedding.coordinates).all()


def test_known_keys_are_not_computed_again_and_old_results_go(embedder):
    before, after, _ = task()
    for key in "abc":
        embedder.submit(key, {"x": before}, "pca")
        wait(embedder, key)
    embedder.submit("a", {"x": after}, "pca")  # known, and now the youngest
    assert np.array_equal(wait(embedder, "a").coordinates, embed({"x": before}, "pca").coordinates)
    embedder.submit("d", {"x": before}, "pca")
    wait(embedder, "d")
    assert embedder.result("b") is None
    assert all(embedder.result(key) for key in "acd")


def test_bad_features_are_refused_at_once(embedder):
    with pytest.raises(DataError, match="NaN"):
        embedder.submit("bad", {"x": np.full((4, 4), np.nan)}, "pca")


def test_a_worker_that_died_is_replaced_once():
    before, _, _ = task()
    with BackgroundEmbedder() as embedder:
        os.kill(worker_pid(embedder), signal.SIGKILL)
        embedder.submit("x", {"x": before}, "pca")
        assert wait(embedder, "x").method == "pca"
        embedder.submit("y", {"x": np.random.default_rng(0).normal(size=(2000, 20))}, "tsne")
        for _ in range(2):
            (process,) = embedder._pool._processes.values()
            process.kill()
            process.join()
            while not embedder._jobs["y"].future.done():
                time.sleep(0.01)
            if not embedder._jobs["y"].retried:
                assert embedder.result("y") is None
        with pytest.raises(MetalabError, match="died twice"):
            embedder.result("y")


def test_the_worker_does_not_run_the_page(tmp_path, monkeypatch):
    page = types.ModuleType("__main__")
    page.__file__ = str(tmp_path / "page.py")
    (tmp_path / "page.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setitem(sys.modules, "__main__", page)
    with BackgroundEmbedder() as embedder:
        os.kill(worker_pid(embedder), signal.SIGKILL)  # without its warm-up the next one is ready sooner
        embedder.submit("x", {"x": task()[0]}, "pca")
        wait(embedder, "x")
    assert sys.modules["__main__"] is page
    assert not (tmp_path / "ran").exists()


def test_the_worker_ends_with_its_parent():
    script = (
        "import time; from metalab.embeddings import BackgroundEmbedder as B; e = B();"
        "print(next(iter(e._pool._processes)), flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(1000):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("the worker outlived its parent")


@pytest.mark.parametrize("method", ["pca", "tsne", "umap"])
def test_pictures_in_space(method: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 12, 2))
    picture = embed({"a": x[0], "b": x[1]}, method, dimensions=3)
    assert picture.coordinates.shape == (2, 12, 3)
    assert np.isfinite(picture.coordinates).all()
    again = Embedding.from_arrays(*picture.to_arrays())
    assert np.array_equal(again.coordinates, picture.coordinates)


def test_two_points_in_space_are_flat() -> None:
    assert embed({"a": np.eye(2)}, "pca", dimensions=3).coordinates.shape == (1, 2, 3)


def test_four_dimensions_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 or 3"):
        embed({"a": np.eye(9)}, dimensions=4)
