"""What told labels say of a version: the same by one process, and by the sum of several."""

import pytest

from app.observe.live_accuracy import Told, count_told, measure_live_accuracy
from app.observe.metrics import Metrics, keep_counts, merge

TOLD = [
    Told(0.99, True, 0.9, True),
    Told(0.97, True),
    Told(0.95, False, 0.9, True),
    Told(0.5, True, 0.8, False),
    Told(0.0, False),
    Told(1.0, True),
]


def count(told: list[Told]) -> Metrics:
    metrics = Metrics()
    for one in told:
        count_told(metrics, "tiny", 3, one)
    return metrics


def test_accuracy_calibration_and_coverage_are_those_of_the_told_images() -> None:
    live = measure_live_accuracy(count(TOLD).snapshot(), "tiny", 3)
    assert live is not None
    assert (live.images, live.right, live.top1) == (6, 4, pytest.approx(4 / 6))
    # Of 15 bins three hold images: the highest with 4, of which 3 are right, one with 0.5, and the lowest.
    assert live.calibration_error == pytest.approx((abs(0.99 + 0.97 + 0.95 + 1.0 - 3) + abs(0.5 - 1) + 0.0) / 6)
    assert (live.sets, live.holding, live.coverage) == (3, 2, pytest.approx((0.9 + 0.9 + 0.8) / 3))


def test_the_sum_of_processes_says_the_same_as_one_process_even_of_those_that_ended() -> None:
    parts = [keep_counts(count(TOLD[:2]).snapshot()), count(TOLD[2:]).snapshot()]
    whole = measure_live_accuracy(count(TOLD).snapshot(), "tiny", 3)
    summed = measure_live_accuracy(merge(parts), "tiny", 3)
    assert whole is not None
    assert summed is not None
    assert vars(summed) == pytest.approx(vars(whole))


def test_a_version_that_nobody_told_of_has_none() -> None:
    assert measure_live_accuracy(count(TOLD).snapshot(), "tiny", 4) is None
    assert measure_live_accuracy({}, "tiny", 3) is None
