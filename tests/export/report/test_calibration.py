from __future__ import annotations

import numpy as np
import pytest

from export.report.calibration import (
    calibrate,
    calibration_error,
    describe_distribution,
    fit_temperature,
    log_sum_exp,
    measure_foreign,
    score_quantiles,
    softmax,
)
from export.report.evaluation import confusion_matrix, evaluate, top_k_accuracy


def drawn(count: int, classes: int = 5, seed: int = 0, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax: perfectly calibrated at temperature 1."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(count, classes)) * scale
    labels = (softmax(logits).cumsum(axis=1) > generator.random((count, 1))).argmax(axis=1)
    return logits, labels


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoiled_the_logits_is_found(true: float) -> None:
    logits, labels = drawn(20_000)
    assert fit_temperature(logits * true, labels) == pytest.approx(true, rel=0.03)


def test_calibration_lowers_the_error_and_keeps_the_classes() -> None:
    logits, labels = drawn(20_000)
    result = calibrate(logits * 3, labels, "made up")
    assert result is not None
    assert result.ece_before > 0.1
    assert result.ece_after < 0.02
    assert (softmax(logits * 3, result.temperature).argmax(1) == logits.argmax(1)).all()


def test_calibration_error_of_always_sure_and_half_wrong_is_a_half() -> None:
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert calibration_error(probabilities, np.array([0, 1])) == pytest.approx(0.5)


def test_conformal_sets_cover_what_they_promise() -> None:
    logits, labels = drawn(40_000)
    probabilities = softmax(logits)
    quantiles = score_quantiles(probabilities[:20_000], labels[:20_000])
    assert quantiles is not None
    for coverage in (0.8, 0.9, 0.95, 0.99, 0.999):
        sets = probabilities[20_000:] >= 1 - quantiles.score_at(coverage)
        covered = sets[np.arange(20_000), labels[20_000:]].mean()
        assert coverage - 0.01 <= covered <= coverage + 0.01


def test_a_coverage_that_few_images_cannot_promise_is_not_stored() -> None:
    logits, labels = drawn(199)
    quantiles = score_quantiles(softmax(logits), labels)
    assert quantiles is not None
    assert max(quantiles.coverage) == 0.995


@pytest.mark.parametrize("count", [1, 8, 99])
def test_figures_that_few_images_cannot_carry_are_left_out(count: int) -> None:
    logits, labels = drawn(count)
    assert calibrate(logits, labels, "made up") is None
    assert score_quantiles(softmax(logits), labels) is None
    assert describe_distribution(softmax(logits), log_sum_exp(logits)) is None


def test_log_sum_exp_survives_large_logits() -> None:
    np.testing.assert_allclose(log_sum_exp(np.array([[1000.0, 1000.0]])), 1000 + np.log(2))


def test_the_distribution_sums_to_one() -> None:
    logits, _ = drawn(500)
    described = describe_distribution(softmax(logits), log_sum_exp(logits))
    assert described is not None
    assert sum(described.classes) == pytest.approx(1)
    assert sum(described.confidence) == pytest.approx(1)
    assert list(described.energy) == sorted(described.energy)
    assert len(described.energy) == 9


def test_foreign_images_are_noticed_by_an_energy_that_one_validation_image_in_a_hundred_has() -> None:
    logits, _ = drawn(500)
    energy = log_sum_exp(logits)
    described = describe_distribution(softmax(logits), energy)
    assert described is not None
    assert described.least_energy is not None
    assert measure_foreign(energy, "its own", described.least_energy).noticed == pytest.approx(0.01)
    assert measure_foreign(energy - 1000, "far away", described.least_energy).noticed == 1


def test_top_k_counts_the_k_most_probable() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    labels = np.array([1, 0])
    assert top_k_accuracy(probabilities, labels, 1) == 0
    assert top_k_accuracy(probabilities, labels, 2) == 0.5
    assert evaluate(probabilities, labels, "made up").top5 is None


def test_the_confusion_matrix_has_true_classes_in_rows() -> None:
    np.testing.assert_array_equal(confusion_matrix(np.array([1, 1, 0]), np.array([0, 1, 1]), 2), [[0, 1], [1, 1]])
