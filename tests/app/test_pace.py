import pytest

from app.pace import Pace


def test_nothing_measured_means_no_expected_wait() -> None:
    assert Pace().estimate(100, 32) == 0


def test_rows_are_estimated_in_full_batches_and_a_rest() -> None:
    pace = Pace({1: 0.01, 32: 0.1})
    assert pace.estimate(65, 32) == pytest.approx(2 * 0.1 + 0.01)


def test_a_size_never_measured_is_scaled_from_the_nearest_in_proportion_to_its_rows() -> None:
    assert Pace({4: 0.1}).estimate(16, 16) == pytest.approx(0.4)


def test_a_smaller_size_is_not_assumed_to_be_cheaper() -> None:
    assert Pace({8: 0.1}).estimate(2, 8) == pytest.approx(0.1)


def test_one_slow_batch_moves_the_estimate_but_does_not_rule_it() -> None:
    pace = Pace({1: 0.01})
    pace.record(1, 1.01)
    assert pace.estimate(1, 1) == pytest.approx(0.21)
    for _ in range(50):
        pace.record(1, 0.01)
    assert pace.estimate(1, 1) == pytest.approx(0.01, rel=0.01)
