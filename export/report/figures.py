"""How well classes are told apart, as figures of counts [3, classes]: of each class the images that were called right,
all of them, and all images called so."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[Any]
Values = npt.NDArray[np.float64]

WORDS = {
    "accuracy": "accuracy",
    "top5": "top-5 accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "loss": "loss",
}
"""The figures of an epoch, for people; the best epoch is chosen by one of them."""


def accuracy(counts: Counts) -> float:
    right, true, _ = counts
    return float(right.sum() / max(true.sum(), 1))


def recall(counts: Counts) -> Values:
    """float64 [classes], NaN for a class without images."""
    right, true, _ = counts
    return _ratio(right, true)


def precision(counts: Counts) -> Values:
    """The share of right answers among those that name a class: float64 [classes], NaN for a class that no answer
    names.
    """
    right, _, called = counts
    return _ratio(right, called)


def f1(counts: Counts) -> Values:
    """float64 [classes], NaN for a class without images that no image was called either."""
    right, true, called = counts
    return _ratio(2 * right, true + called)


def balanced_accuracy(counts: Counts) -> float:
    """The mean recall of the classes that have images, as scikit-learn's balanced_accuracy_score."""
    return _mean(recall(counts))


def macro_f1(counts: Counts) -> float:
    """The mean F1 of the classes that have images or were called, as scikit-learn's f1_score(average="macro")."""
    return _mean(f1(counts))


def _ratio(part: Counts, whole: Counts) -> Values:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _mean(values: Values) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else 0.0
