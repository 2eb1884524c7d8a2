"""How far to trust probabilities: temperature scaling, calibration error, conformal quantiles, drift reference."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from artifact.figures.evaluation import (
    CALIBRATION_BINS,
    CONFIDENCE_BINS,
    COVERAGES,
    ENERGY_QUANTILES,
    Calibration,
    Distribution,
    Foreign,
    ScoreQuantiles,
    bin_confidence,
)

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]

# Fewer say too little: a handful that are all right drive the temperature to its bound; a label set promised at 90 %
# covers 90 +- 3 % when it rests on 100 (Beta(91, 10)), 90 +- 9 % on 10; and the 1 % quantile of the energy, below which
# the server warns, is the lowest of 100.
LEAST_IMAGES = 100


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Probabilities, float64 [..., classes], of logits [..., classes] of any float type, which are divided by
    `temperature`.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    shares: Floats = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return shares


def log_sum_exp(logits: Floats, temperature: float = 1.0) -> Floats:
    """log(sum(exp(logits / temperature))) over the classes: float64 [n] from logits [n, classes]."""
    scaled = np.asarray(logits, np.float64) / temperature
    peak = scaled.max(axis=-1)
    found: Floats = peak + np.log(np.exp(scaled - peak[..., None]).sum(axis=-1))
    return found


def calibration_error(probabilities: Floats, labels: Labels) -> float:
    """The expected calibration error of probabilities [n, classes] for the true `labels` [n], 0 to 1: the mean of
    |accuracy - confidence| over bins of equal width, weighted by their images (Guo et al. 2017).
    """
    return float(sum(abs(a - c) * share for _, a, c, share in reliability(probabilities, labels)))


def reliability(probabilities: Floats, labels: Labels) -> list[tuple[float, float, float, float]]:
    """Probabilities [n, classes] and true `labels` [n], in CALIBRATION_BINS bins of equal width by the largest
    probability. A row for each bin that holds images: its left edge, their accuracy, mean confidence, and share of all
    images, each 0 to 1.
    """
    bins = CALIBRATION_BINS
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = []
    for i in range(bins):
        members = place == i
        if members.any():
            rows.append(
                (i / bins, float(right[members].mean()), float(confidence[members].mean()), float(members.mean()))
            )
    return rows


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature from 0.05 to 20 with the least negative log-likelihood of the true `labels` [n] by `logits`
    [n, classes].
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        scaled = np.asarray(logits, np.float64) / math.exp(log_temperature)
        return float((log_sum_exp(scaled) - scaled[np.arange(len(labels)), labels]).mean())

    best = minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded")
    return round(math.exp(best.x), 4)


def calibrate(logits: Floats, labels: Labels, dataset: str) -> Calibration | None:
    """Fit a temperature to validation logits, float32 [n, classes], and measure the calibration error (ECE, 0..1) with
    and without it. `labels` are the true classes, integers [n]; `dataset` is the name that the card will give.

    None for fewer than LEAST_IMAGES images: the temperature stays 1.
    """
    if len(labels) < LEAST_IMAGES:
        return None
    temperature = fit_temperature(logits, labels)
    return Calibration(
        dataset=dataset,
        images=len(labels),
        temperature=temperature,
        ece_before=calibration_error(softmax(logits), labels),
        ece_after=calibration_error(softmax(logits, temperature), labels),
    )


def score_quantiles(probabilities: Floats, labels: Labels) -> ScoreQuantiles | None:
    """The conformal quantiles of the scores 1 - p(true class), from probabilities [n, classes] and true `labels` [n]:
    for each coverage the ceil((n + 1) coverage)-th smallest score.

    Only coverages that n images can promise are stored (n >= coverage / (1 - coverage)); None for fewer than
    LEAST_IMAGES.
    """
    if len(labels) < LEAST_IMAGES:
        return None
    scores = np.sort(1 - probabilities[np.arange(len(labels)), labels])
    ranks = [(coverage, math.ceil((len(scores) + 1) * coverage)) for coverage in COVERAGES]
    kept = [(coverage, rank) for coverage, rank in ranks if rank <= len(scores)]
    return ScoreQuantiles(
        images=len(scores),
        coverage=tuple(coverage for coverage, _ in kept),
        score=tuple(float(np.clip(scores[rank - 1], 0, 1)) for _, rank in kept),
    )


def measure_foreign(energy: Floats, source: str, least: float) -> Foreign:
    """The share of foreign images whose `energy`, float [n], is below `least`: Distribution.least_energy of the
    validation images, below which the service warns.
    """
    return Foreign(images=len(energy), source=source, noticed=float((energy < least).mean()))


def describe_distribution(probabilities: Floats, energy: Floats | None) -> Distribution | None:
    """How the answers to images like the training set's are distributed, from probabilities [n, classes] and, where the
    graph gives it, `energy` [n]. None for fewer than LEAST_IMAGES images.
    """
    count, classes = probabilities.shape
    if count < LEAST_IMAGES:
        return None
    confidence = [bin_confidence(probability) for probability in probabilities.max(axis=1).tolist()]
    return Distribution(
        images=count,
        classes=tuple((np.bincount(probabilities.argmax(axis=1), minlength=classes) / count).tolist()),
        confidence=tuple((np.bincount(confidence, minlength=CONFIDENCE_BINS) / count).tolist()),
        energy=tuple(np.quantile(energy, ENERGY_QUANTILES).tolist()) if energy is not None else (),
    )
