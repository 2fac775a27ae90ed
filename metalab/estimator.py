"""A scikit-learn classifier: ``fit`` adapts a ready model to a few examples, nothing is meta-trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from metalab.choice import adapt_as_asked
from metalab.errors import ConfigError


class FewShotClassifier(ClassifierMixin, BaseEstimator):
    """Few-shot classification of images, or of feature vectors.

    ``fit(X, y)`` takes images (n, H, W), (n, H, W, C) or a list of images of different sizes, as integers
    0..255 or floats 0..1, and adapts the ready model that suits them (``model="auto"``), or the shipped
    meta-learner, run or ``local:`` network that ``model`` names. Vectors (n, d), which no backbone knows,
    are standardised and met by logistic regression. Labels are strings or numbers, two classes or more.

    After ``fit``: ``classes_`` (sorted), ``model_`` (:class:`metalab.AdaptedModel`; None for vectors),
    ``choice_`` (why this model, in words).
    """

    def __init__(self, model: str = "auto") -> None:
        self.model = model

    def fit(self, X: Any, y: Any) -> FewShotClassifier:
        """Adapt to labelled examples. Raises :class:`ValueError` (:class:`DataError`) for bad input."""
        if _are_images(X):
            return self._fit_images(X, y)
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("two classes or more are needed, y has one class")
        self.choice_, self.model_ = "feature vectors: logistic regression", None
        self._rows, self._labels = X, labels
        self._head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X, labels)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> FewShotClassifier:
        """Add examples, also of new classes, to those of ``fit``; the first call is ``fit``.

        ``classes`` is accepted for scikit-learn's sake: classes may appear at any time.
        """
        if not hasattr(self, "classes_"):
            return self.fit(X, y)
        if self.model_ is not None:
            self.model_ = self.model_.add_examples(_images(X), np.asarray(y))
            return self._sort_classes()
        X, y = validate_data(self, X, y, dtype=np.float64, reset=False)
        return self.fit(np.concatenate([self._rows, X]), np.concatenate([self.classes_[self._labels], y]))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities (n, n_classes) in the order of ``classes_``."""
        check_is_fitted(self)
        if self.model_ is not None:
            return self.model_.predict_proba(_images(X))[:, self._order]
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self._head.predict_proba(X)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each example (n,)."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(1)]

    def _fit_images(self, X: Any, y: Any) -> FewShotClassifier:
        labels = np.asarray(y)
        if labels.ndim != 1:
            raise ValueError(f"y must have one label an image, its shape is {labels.shape}")
        if not isinstance(self.model, str):
            raise ConfigError(
                "model is a name", where="FewShotClassifier", fix="Use 'auto' or a model's name"
            )
        choice = adapt_as_asked(_images(X), labels, self.model)
        self.model_, self.choice_ = choice.model, choice.reason
        return self._sort_classes()

    def _sort_classes(self) -> FewShotClassifier:
        names = np.array(self.model_.classes)
        self._order = np.argsort(names, kind="stable")
        self.classes_ = names[self._order]
        return self


def _are_images(X: Any) -> bool:
    if isinstance(X, list | tuple):
        return len(X) > 0 and all(getattr(image, "ndim", 0) in (2, 3) for image in X)
    return getattr(X, "ndim", 2) > 2 and not hasattr(X, "columns")


def _images(X: Any) -> Any:
    if not _are_images(X):
        raise ValueError("this classifier was fitted to images, X holds none")
    return X if isinstance(X, list | torch.Tensor) else np.asarray(X)
