"""The threshold of a cascade: the second network is asked where the first one's largest probability is below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.errors import UsageError
from export.report.calibration import Floats, Labels

# Thresholds are tried, and written, with this many decimals.
_DECIMALS = 4


@dataclass(frozen=True)
class Threshold:
    """A threshold, and what it gave on the images that it was chosen on. Accuracies and shares are of 0..1."""

    probability: float
    """The threshold itself."""
    accuracy: float
    """Of both networks together."""
    asked: float
    """The share of images that the second is asked for."""
    images: int
    first_accuracy: float
    """Of the first network alone."""
    second_accuracy: float
    """Of the second network alone."""

    @property
    def margin(self) -> float:
        """Half the width of the accuracy's 95 % interval: what other images of the kind may differ by."""
        return 1.96 * float(np.sqrt(self.accuracy * (1 - self.accuracy) / self.images))


def choose_threshold(first: Floats, then: Floats, labels: Labels, accuracy: float | None) -> Threshold:
    """The lowest threshold with which at least `accuracy` (None: that of the second alone) of the images are right:
    `first` and `then` are the probabilities [n, classes] of both networks, `labels` [n] the true classes.

    The search goes down from the threshold with the best accuracy and ends where the accuracy is no longer reached:
    a lower threshold that reaches it again does so by chance, and may not on other images.

    Raises UsageError where no threshold reaches it, or where the first network does so alone.
    """
    confidence = first.max(axis=1).astype(np.float64)  # as the service compares it
    order = np.argsort(confidence)
    right_first, right_then = (probabilities.argmax(axis=1) == labels for probabilities in (first, then))
    gains = np.concatenate([[0], np.cumsum(right_then[order].astype(np.int64) - right_first[order].astype(np.int64))])
    thresholds = np.round(np.arange(1, 10**_DECIMALS + 1) / 10**_DECIMALS, _DECIMALS)
    asked = np.searchsorted(confidence[order], thresholds, side="left")
    right = right_first.sum() + gains[asked]
    alone, second, count = float(right_first.mean()), float(right_then.mean()), len(labels)
    wanted = second if accuracy is None else accuracy
    if alone >= wanted:
        raise UsageError(f"the first network alone is right in {alone:.2%}: no second one is needed for {wanted:.2%}")
    best, fits = int(np.flatnonzero(right == right.max())[-1]), right >= wanted * count - 1e-6
    if not fits[best]:
        raise UsageError(
            f"no threshold reaches {wanted:.2%}: the best is {thresholds[best]:g} with {right[best] / count:.2%}; the "
            f"first network alone is right in {alone:.2%}, the second in {second:.2%}"
        )
    too_low = np.flatnonzero(~fits[:best])
    place = int(too_low[-1]) + 1 if len(too_low) else 0
    return Threshold(
        float(thresholds[place]), float(right[place] / count), float(asked[place] / count), count, alone, second
    )
