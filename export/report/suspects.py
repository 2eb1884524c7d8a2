"""Suspects of wrong labels by confident learning (Northcutt, Jiang and Chuang 2021). Knows no network and no image.

The probabilities must come from a network that wasn't trained on these labels, or it has learned their errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from export.report.calibration import Floats, Labels


@dataclass(frozen=True)
class Suspects:
    """Images whose label is in doubt, the most suspect first; all arrays have this length and order."""

    places: npt.NDArray[np.intp]
    """Indices among the images that were looked at."""
    given: Labels
    suggested: Labels
    given_probability: Floats
    suggested_probability: Floats
    images: int
    """Number of images that were looked at."""
    wrong_share: float
    """The estimated share (0 to 1) of wrong labels among them, including those that aren't suspects."""

    def __len__(self) -> int:
        return len(self.places)


def find_suspects(probabilities: Floats, labels: Labels) -> Suspects:
    """Those off the diagonal of the confident joint; probabilities [n, classes] are held out, labels [n] the given.

    An image counts as confidently of class j where p(j) reaches j's threshold, the mean of p(j) over the images that
    are labeled j; of several such classes the most probable counts. It is suspect where that isn't its label. The
    lowest p(label) comes first: by the margin to the largest other, fewer of the labels flipped on purpose did.
    """
    rows, classes = np.arange(len(labels)), probabilities.shape[1]
    confident = _confident_classes(probabilities, labels)
    off = np.flatnonzero((confident >= 0) & (confident != labels))
    own = probabilities[rows, labels].astype(np.float64)
    places = off[np.argsort(own[off], kind="stable")]
    suggested = confident[places]
    return Suspects(
        places=places,
        given=labels[places],
        suggested=suggested,
        given_probability=own[places],
        suggested_probability=probabilities[places, suggested].astype(np.float64),
        images=len(labels),
        wrong_share=_estimate_wrong(labels, confident, classes),
    )


def _confident_classes(probabilities: Floats, labels: Labels) -> Labels:
    """int64 [n]: the class that each image confidently is of; -1 where no class reaches its threshold."""
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    own = np.bincount(labels, probabilities[np.arange(len(labels)), labels], minlength=len(counts))
    thresholds = np.where(counts > 0, own / np.maximum(counts, 1), np.inf)
    # As cleanlab has it: a threshold that rounding lifts above equal probabilities would leave all of them out.
    reached = np.where(probabilities >= thresholds - 1e-6, probabilities, -1.0)
    return np.where(reached.max(axis=1) >= 0, reached.argmax(axis=1), -1).astype(np.int64)


def _estimate_wrong(labels: Labels, confident: Labels, classes: int) -> float:
    """The share off the diagonal of the joint, each given class scaled to the images that bear it."""
    counted = confident >= 0
    joint = np.bincount(labels[counted] * classes + confident[counted], minlength=classes**2).reshape(classes, classes)
    counts, seen = np.bincount(labels, minlength=classes), joint.sum(axis=1)
    wrong = np.where(seen > 0, (seen - joint.diagonal()) / np.maximum(seen, 1), 0.0)
    return float((wrong * counts).sum() / max(len(labels), 1))
