"""A card's figures for images that the network wasn't trained on: accuracy, calibration, the scores of label sets, and
the distribution that live images are compared with.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from artifact.documents import Part, Probability

# Places of figures that one stage writes and the other reads.
COVERAGES = tuple(round(0.8 + i / 1000, 3) for i in range(200))
"""The coverages for which a card stores a score, if it has enough images: 0.800, 0.801, ... 0.999."""
ENERGY_QUANTILES = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)
CONFIDENCE_BINS = 10
"""Of equal width over 0..1, for the distribution of top-1 probabilities."""
UNFAMILIAR_SHARE = 0.01
"""The share of validation images whose energy is too low, so that an image like them gets the warning; one of
ENERGY_QUANTILES.
"""
CALIBRATION_BINS = 15
"""Of equal width over 0..1, for the expected calibration error (Guo et al. 2017)."""


class Evaluation(Part):
    """Measured on images that neither training nor calibration saw."""

    dataset: str
    split: str
    images: int
    top1: Probability
    top5: Probability | None = None
    """None where there are no more than five classes."""
    balanced_accuracy: Probability | None = None
    """The mean over classes of each one's accuracy."""
    macro_f1: Probability | None = None
    """The mean over classes of each one's F1, of precision and recall."""
    ece: Probability
    """Expected calibration error over CALIBRATION_BINS."""


class Calibration(Part):
    """Temperature scaling (Guo et al. 2017), fitted on validation images; the temperature is inside the graph."""

    dataset: str
    images: int
    temperature: Annotated[float, Field(gt=0)]
    ece_before: Probability
    ece_after: Probability


class ScoreQuantiles(Part):
    """Split-conformal quantiles of the score 1 - p(true class) on validation images (Sadinle et al. 2019).

    The label set at coverage[i] is every class with probability >= 1 - score[i].
    """

    images: int
    coverage: tuple[Probability, ...]
    score: tuple[Probability, ...]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.coverage) != len(self.score) or list(self.coverage) != sorted(self.coverage):
            raise ValueError("coverage must rise and have one score each")
        return self

    def score_at(self, coverage: float) -> float:
        """The score of the smallest stored coverage that is at least `coverage` (never below what was asked)."""
        for stored, score in zip(self.coverage, self.score, strict=True):
            if stored >= coverage - 1e-9:
                return score
        raise ValueError(f"coverage {coverage:g} is above the largest stored one, {self.coverage[-1]:g}")


class Foreign(Part):
    """How many images of another kind than the training set's get the warning of unfamiliar images."""

    images: PositiveInt
    source: str
    noticed: Probability
    """The share with less energy than Distribution.least_energy."""


class Distribution(Part):
    """What the network said on validation images: the reference that drift is measured against."""

    images: int
    classes: tuple[Probability, ...]
    """Share of each predicted class."""
    confidence: tuple[Probability, ...]
    """Share of top-1 probabilities in each of CONFIDENCE_BINS."""
    energy: tuple[float, ...] = ()
    """Of the energy output, at ENERGY_QUANTILES."""
    foreign: Foreign | None = None
    """None where it wasn't measured."""

    @property
    def least_energy(self) -> float | None:
        """The energy below which an image is unfamiliar; None where there are no figures."""
        place = ENERGY_QUANTILES.index(UNFAMILIAR_SHARE)
        return self.energy[place] if len(self.energy) > place else None


def bin_confidence(probability: float, bins: int = CONFIDENCE_BINS) -> int:
    """The place of a top-1 probability among bins of equal width over 0..1."""
    return min(bins - 1, max(0, int(probability * bins)))
