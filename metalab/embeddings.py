"""Features before and after task learning: one joint picture in 2-D or 3-D, and numbers that back it.

A *stage* is a moment of one task ("pre-trained", "step 1", "adapted"); every stage holds the features of the
same points, support and query together. All distances are Euclidean: prototypes use them too, and they make
every score here indifferent to where the features lie and to how large they are as a whole.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import types
import warnings
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metalab.errors import ConfigError, DataError, MetalabError

Method = Literal["umap", "tsne", "pca"]
DIMENSIONS = (2, 3)
FEWEST = 5
"""Distinct rows below which a neighbour graph means nothing and the linear picture is drawn instead."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """A picture of all stages. ``coordinates``: (stages, points, 2 or 3) float32, without a unit.

    ``method`` is what drew it: "pca" when there were too few distinct points for the method asked for.
    """

    method: str
    stages: tuple[str, ...]
    coordinates: NDArray[np.float32]

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the arrays and the JSON-able rest, for the run store."""
        return {"coordinates": self.coordinates}, {"method": self.method, "stages": list(self.stages)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> Embedding:
        """Undo :meth:`to_arrays`. Raises :class:`DataError` when the parts do not belong together."""
        try:
            coordinates = np.asarray(arrays["coordinates"], dtype=np.float32)
            embedding = cls(str(metadata["method"]), tuple(map(str, metadata["stages"])), coordinates)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"not a stored embedding ({error!r})", fix="Compute it again") from None
        if (
            coordinates.ndim != 3
            or coordinates.shape[0] != len(embedding.stages)
            or coordinates.shape[2] not in DIMENSIONS
        ):
            what = f"{len(embedding.stages)} stages, but coordinates of shape {coordinates.shape}"
            raise DataError(what, where="stored embedding", fix="Compute it again")
        return embedding


def embed(
    stages: Mapping[str, ArrayLike], method: Method = "umap", seed: int = 0, dimensions: int = 2
) -> Embedding:
    """Draw all ``stages``, name -> features (points, d) in order, with ONE reducer fitted on all of them.

    ``dimensions`` of the picture: 2 or 3.

    Each stage is centred and divided by its root-mean-square norm first: moving or scaling all points at
    once changes no neighbour and no nearest prototype, but would push the stages apart as islands. Stages
    are not rotated. Equal rows get equal coordinates: what did not change stays where it was. The same input
    and seed give the same picture on one machine.

    UMAP and t-SNE start from PCA (Kobak and Linderman 2021, doi:10.1038/s41587-020-00809-z). One thread;
    meanwhile BLAS and OpenMP have one in the whole process. The first UMAP of a process takes about ten
    seconds longer, see :class:`BackgroundEmbedder`.

    Raises :class:`DataError` for no stage, other points or dimensions from stage to stage (the directions of
    two spaces cannot be matched honestly), fewer than two points, and NaN or infinity; :class:`ConfigError`
    for an unknown method or number of dimensions.
    """
    rows = _align(stages, method, dimensions)
    return Embedding(*_reduce(rows, method, seed, dimensions, tuple(stages)))


def _align(stages: Mapping[str, ArrayLike], method: str, dimensions: int) -> NDArray[np.float32]:
    """Check the input of :func:`embed`, return it centred and scaled: (stages, points, >= dimensions)."""
    if method not in get_args(Method):
        raise ConfigError(f"unknown method {method!r}", where="embed", fix=f"Use one of {get_args(Method)}")
    if dimensions not in DIMENSIONS:
        raise ConfigError(f"{dimensions} dimensions", where="embed", fix="Use 2 or 3")
    if not stages:
        raise DataError("there are no stages", where="embed", fix="Give features before and after")
    aligned = [_centred(features, name) for name, features in stages.items()]
    shapes = {name: array.shape for name, array in zip(stages, aligned, strict=True)}
    if len(set(shapes.values())) > 1:
        fix = "Take the same points and the same layer in every stage"
        raise DataError(f"the stages differ in shape: {shapes}", where="embed", fix=fix)
    points, width = aligned[0].shape
    if points < 2:
        raise DataError(f"{points} points make no picture", where="embed", fix="Give at least two")
    for array in aligned:
        array /= np.sqrt(np.square(array).sum(axis=1).mean()) or 1.0
    rows = np.stack(aligned).astype(np.float32)
    return np.pad(rows, ((0, 0), (0, 0), (0, max(0, dimensions - width))))


def _centred(features: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return (points, d) with mean zero and largest size about one; exactly zero when constant."""
    array = np.asarray(features, dtype=np.float64)
    if array.ndim != 2 or not array.size:
        raise DataError(f"features of shape {array.shape}", where=name, fix="Give (points, dimensions)")
    if not np.isfinite(array).all():
        fix = "The model diverged: lower the learning rate"
        raise DataError("features are NaN or infinite", where=name, fix=fix)
    array = array / (np.abs(array).max() or 1.0)
    array -= array.mean(axis=0)
    return array if np.abs(array).max() > 1e-6 else np.zeros_like(array)  # below: float32 rounding


def _reduce(
    rows: NDArray[np.float32], method: str, seed: int, dimensions: int, names: tuple[str, ...]
) -> tuple[str, tuple[str, ...], NDArray[np.float32]]:
    """Return the fields of an :class:`Embedding` of ``rows`` (stages, points, d)."""
    from threadpoolctl import threadpool_limits

    flat = rows.reshape(-1, rows.shape[-1])
    _, first, inverse = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    if len(first) < FEWEST:
        method = "pca"
    with threadpool_limits(1):  # t-SNE with two threads on two busy cores: eight times slower than with one
        if method == "pca":
            picture = _pca(flat, seed, dimensions)
        else:
            order = np.sort(first)  # as they came, so that a small change cannot shuffle them
            neighbours = _neighbours(*rows.shape[:2], len(order))
            fit = _umap if method == "umap" else _tsne
            drawn = fit(flat[order], neighbours, seed, dimensions)
            picture = drawn[np.searchsorted(order, first)[inverse.reshape(-1)]]
    # PCA answers column by column, which safetensors would store wrongly without a word.
    return method, names, np.ascontiguousarray(picture.reshape(*rows.shape[:2], -1), dtype=np.float32)


def _neighbours(stages: int, points: int, rows: int) -> int:
    """Return the size of a neighbourhood: each point meets its other stages and some other points."""
    return min(max(FEWEST, stages * min(15, points // 4)), 60, rows - 1)


def _pca(rows: NDArray[np.float32], seed: int, dimensions: int) -> NDArray[np.float32]:
    from sklearn.decomposition import PCA

    if not rows.any():
        return np.zeros_like(rows[:, :dimensions])
    picture = PCA(min(dimensions, len(rows)), random_state=seed).fit_transform(rows)
    return np.pad(picture, ((0, 0), (0, dimensions - picture.shape[1])))


def _tsne(rows: NDArray[np.float32], neighbours: int, seed: int, dimensions: int) -> NDArray[np.float32]:
    from sklearn.manifold import TSNE

    perplexity = min(neighbours, (len(rows) - 1) / 3)
    tsne = TSNE(dimensions, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    return tsne.fit_transform(rows)


def _umap(rows: NDArray[np.float32], neighbours: int, seed: int, dimensions: int) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # it says that TensorFlow is missing
        from umap import UMAP

    # n_jobs=1 is what a fixed seed allows; asking for it, there is nothing to warn of.
    # A wide min_dist: the points of a class stay apart, so that each can be seen and hovered over.
    umap = UMAP(neighbours, dimensions, min_dist=0.5, init="pca", random_state=seed, n_jobs=1)
    return umap.fit_transform(rows)


# Scores


@dataclass(frozen=True, slots=True)
class Scores:
    """How well the classes separate in feature space; None where a score is not defined.

    ``silhouette``: -1..1 (Rousseeuw 1987). ``neighbour_accuracy``: 0..1, share of points that a vote of their
    nearest neighbours puts into the right class. ``trustworthiness``: 0..1, how far neighbours in the picture
    are neighbours in feature space (Venna and Kaski 2001).
    """

    silhouette: float | None
    neighbour_accuracy: float | None
    trustworthiness: float | None


def scores(features: ArrayLike, labels: ArrayLike, coordinates: ArrayLike | None = None) -> Scores:
    """Score ``features`` (points, d) with class ``labels`` (points,), and their picture, if there is one.

    All are None for constant features; silhouette and neighbour accuracy for a single class, or when every
    point is alone in its class; trustworthiness without a picture, for a constant one, or below three
    points. The neighbour vote leaves the point itself out, asks k = min(5, smallest class - 1), at least 1,
    and gives ties to the closer; points alone in their class cannot be right and are not counted. Raises
    :class:`DataError` for NaN or infinity, or when the lengths differ.
    """
    array = _centred(features, "features")
    classes, labels = np.unique(np.asarray(labels), return_inverse=True)
    picture = None if coordinates is None else _centred(coordinates, "coordinates")
    if labels.shape != (len(array),) or (picture is not None and len(picture) != len(array)):
        raise DataError(
            "features, labels and coordinates differ in length",
            where="scores",
            fix="Give one of each per point",
        )
    if not array.any():
        return Scores(None, None, None)
    separable = 2 <= len(classes) < len(array)
    return Scores(
        _silhouette(array, labels) if separable else None,
        _neighbour_accuracy(array, labels) if separable else None,
        _trustworthiness(array, picture) if picture is not None and picture.any() else None,
    )


def _silhouette(array: NDArray[np.float64], labels: NDArray[np.intp]) -> float:
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(array, labels))


def _neighbour_accuracy(array: NDArray[np.float64], labels: NDArray[np.intp]) -> float:
    from scipy.spatial.distance import cdist

    sizes = np.bincount(labels)
    k = int(np.clip(sizes[sizes > 1].min() - 1, 1, 5))
    distances = cdist(array, array)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    votes = np.zeros((len(array), len(sizes)))
    for rank in range(k):
        votes[np.arange(len(array)), labels[nearest[:, rank]]] += 1 + (k - rank) / 100
    counted = sizes[labels] > 1
    return float((votes.argmax(axis=1) == labels)[counted].mean())


def _trustworthiness(array: NDArray[np.float64], picture: NDArray[np.float64]) -> float | None:
    from sklearn.manifold import trustworthiness

    k = min(5, (len(array) - 1) // 2)
    return float(trustworthiness(array, picture, n_neighbors=k)) if k else None


def linear_cka(a: ArrayLike, b: ArrayLike) -> float | None:
    """Return the linear CKA, 0..1, of two feature sets (points, d1) and (points, d2); 1: same up to rotation.

    |B'A|² / (|A'A| |B'B|), Frobenius norms, A and B centred (Kornblith et al. 2019, arXiv:1905.00414). None
    when either is constant. With more dimensions than points it is biased upwards: compare tasks of one size
    only. Raises :class:`DataError` for NaN, infinity or other numbers of points.
    """
    x, y = _centred(a, "before"), _centred(b, "after")
    if len(x) != len(y):
        raise DataError(
            f"{len(x)} points before, {len(y)} after", where="linear_cka", fix="Give the same points"
        )
    if not (x.any() and y.any()):
        return None
    gram_x, gram_y = x @ x.T, y @ y.T  # <XX', YY'> = |Y'X|², cheaper for few points of many dimensions
    return min(1.0, float((gram_x * gram_y).sum() / (np.linalg.norm(gram_x) * np.linalg.norm(gram_y))))


# In the background


@dataclass
class _Job:
    future: Future[Any]
    arguments: tuple[Any, ...] | None  # None once done: features are large
    retried: bool = field(default=False)


class BackgroundEmbedder:
    """Embeddings for a page, which must not wait: one worker process, and the latest ``cache`` results.

    UMAP compiles for about ten seconds on its first fit; the worker does so when it is created, ahead of
    need, and UMAP is never imported here. Make one per server and close it. Threads may share it.
    """

    def __init__(self, cache: int = 64) -> None:
        self._cache = cache
        self._jobs: OrderedDict[Hashable, _Job] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = _worker()

    def submit(
        self,
        key: Hashable,
        stages: Mapping[str, ArrayLike],
        method: Method = "umap",
        seed: int = 0,
        dimensions: int = 2,
    ) -> None:
        """Have :func:`embed` done under ``key``; costs nothing for a known key, so call it at every rerun.

        Raises what :func:`embed` raises for bad input, at once, and RuntimeError after :meth:`close`.
        """
        with self._lock:
            if key in self._jobs:
                self._jobs.move_to_end(key)
                return
            arguments = (_align(stages, method, dimensions), method, seed, dimensions, tuple(stages))
            self._jobs[key] = _Job(self._start(arguments), arguments)
            while len(self._jobs) > self._cache:
                self._jobs.popitem(last=False)[1].future.cancel()

    def result(self, key: Hashable) -> Embedding | None:
        """Return the picture, or None while it is not ready (or no longer cached: submit it again).

        A worker that died is replaced and the job done again, once; then :class:`MetalabError` is raised.
        """
        with self._lock:
            job = self._jobs.get(key)
            if job is None or not job.future.done():
                return None
            try:
                embedding = Embedding(*job.future.result())
            except BrokenProcessPool:
                if job.retried or job.arguments is None:
                    fix = "Memory may be short: use fewer points, or PCA"
                    raise MetalabError("the embedding process died twice", where=key, fix=fix) from None
                job.future, job.retried = self._start(job.arguments), True
                return None
            job.arguments = None
            return embedding

    def _start(self, arguments: tuple[Any, ...]) -> Future[Any]:
        try:
            return self._pool.submit(_reduce, *arguments)
        except BrokenProcessPool:
            self._pool = _worker()
            return self._pool.submit(_reduce, *arguments)

    def close(self) -> None:
        """Forget all results and end the worker, after the fit that it is at."""
        with self._lock:
            self._jobs.clear()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> BackgroundEmbedder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _worker() -> ProcessPoolExecutor:
    # An initializer, not a first task: a parent killed before it sends one would leave the worker waiting.
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_settle)
    with _hidden_main():
        pool.submit(_warm_up)  # the first task starts the process
    return pool


def _settle() -> None:
    """Let the worker leave Ctrl-C to its parent, and end with it: a killed parent tells nobody."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _warm_up() -> None:
    with suppress(ImportError):  # told to whoever asks for UMAP
        _umap(np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32), FEWEST, 0, 2)


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Hide ``__main__`` while the worker starts, which would run it again: in Streamlit it is the page.

    Streamlit replaces it too, at each rerun of a page, so it is put back only if nobody else did.
    """
    main, stand_in = sys.modules["__main__"], types.ModuleType("__main__")
    sys.modules["__main__"] = stand_in
    try:
        yield
    finally:
        if sys.modules["__main__"] is stand_in:
            sys.modules["__main__"] = main
