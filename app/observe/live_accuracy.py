"""Live accuracy: accuracy and calibration of one version by true labels that POST /feedback received. Kept as counters,
so that those of several processes or services can be added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from app.observe.metrics import Metrics, Snapshot
from artifact.figures.evaluation import CALIBRATION_BINS, bin_confidence

IMAGES, CONFIDENCE = "convserve_feedback_images_total", "convserve_feedback_confidence_total"
SETS, COVERAGE = "convserve_feedback_sets_total", "convserve_feedback_coverage_total"
ENOUGH_TOLD = 100
"""Images that a calibration error needs: with fewer, chance alone makes it several percent."""
_BINS = tuple(f"{place / CALIBRATION_BINS:.2f}" for place in range(1, CALIBRATION_BINS + 1))


class Told(NamedTuple):
    """One answer compared with its true label."""

    confidence: float
    """The largest probability."""
    right: bool
    """Whether the class with the largest probability is the true one."""
    coverage: float | None = None
    """The coverage that the label set was asked for; None without a set."""
    holds: bool = False
    """Whether the label set holds the true label."""


@dataclass(frozen=True)
class LiveAccuracy:
    """The figures of one version."""

    images: int
    right: int
    calibration_error: float
    """The expected calibration error, as Evaluation.ece."""
    sets: int
    """Images that had a label set."""
    holding: int
    """Those of them whose set holds the true label."""
    coverage: float
    """The mean coverage that these sets were asked for; 0 without any."""

    @property
    def top1(self) -> float:
        return self.right / self.images


def count_told(metrics: Metrics, model: str, version: int, told: Told) -> None:
    """Count one answer of this version."""
    labels = model, str(version)
    place = _BINS[bin_confidence(told.confidence, CALIBRATION_BINS)]
    metrics.add(IMAGES, *labels, place, "right" if told.right else "wrong")
    metrics.add(CONFIDENCE, *labels, place, amount=told.confidence)
    if told.coverage is not None:
        metrics.add(SETS, *labels, "yes" if told.holds else "no")
        metrics.add(COVERAGE, *labels, amount=told.coverage)


def measure_live_accuracy(snapshot: Snapshot, model: str, version: int) -> LiveAccuracy | None:
    """The figures of a version; None if it has no feedback."""
    labels = model, str(version)

    def read(family: str, *more: str) -> float:
        return snapshot.get(family, {}).get((*labels, *more), [0.0])[0]

    def read_bins() -> Iterator[tuple[float, float, float]]:
        for place in _BINS:
            right, wrong = (read(IMAGES, place, answer) for answer in ("right", "wrong"))
            yield right, wrong, read(CONFIDENCE, place)

    bins = list(read_bins())
    if not (images := sum(right + wrong for right, wrong, _ in bins)):
        return None
    holding, missing = (read(SETS, holds) for holds in ("yes", "no"))
    sets = holding + missing
    return LiveAccuracy(
        images=int(images),
        right=int(sum(right for right, _, _ in bins)),
        calibration_error=sum(abs(right - confidence) for right, _, confidence in bins) / images,
        sets=int(sets),
        holding=int(holding),
        coverage=read(COVERAGE) / sets if sets else 0.0,
    )
