import pytest

from app.batching.cost import Pace, choose_batch_size, fit_cost


def test_nothing_measured_means_no_expected_wait() -> None:
    assert Pace().estimate(100, 32) == 0


def test_rows_are_estimated_in_full_batches_and_a_rest() -> None:
    pace = Pace({1: 0.01, 32: 0.1})
    assert pace.estimate(65, 32) == pytest.approx(2 * 0.1 + 0.01)


def test_a_size_never_measured_is_scaled_from_the_nearest_in_proportion_to_its_rows() -> None:
    assert Pace({4: 0.1}).estimate(16, 16) == pytest.approx(0.4)


def test_a_smaller_size_is_not_assumed_to_be_cheaper() -> None:
    assert Pace({8: 0.1}).estimate(2, 8) == pytest.approx(0.1)


def test_sizes_that_do_not_run_follow_those_that_do() -> None:
    pace = Pace({1: 0.1, 8: 0.8})
    for _ in range(60):
        pace.record(8, 1.6)  # another wants the same core
    assert pace.estimate(8, 8) == pytest.approx(1.6, rel=0.01)
    assert pace.estimate(1, 8) == pytest.approx(0.143, rel=0.01), "which may come to run again"
    for _ in range(60):
        pace.record(1, 0.1)
    assert pace.estimate(8, 8) == pytest.approx(1.34, rel=0.01)
    assert pace.estimate(1, 8) == pytest.approx(0.1, rel=0.01)


def test_one_slow_batch_moves_the_estimate_but_does_not_rule_it() -> None:
    pace = Pace({1: 0.01})
    pace.record(1, 0.06)
    assert pace.estimate(1, 1) == pytest.approx(0.02)
    pace.record(1, 60)  # the machine was asleep
    assert pace.estimate(1, 1) == pytest.approx(0.056)
    for _ in range(50):
        pace.record(1, 0.01)
    assert pace.estimate(1, 1) == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize(
    ("measured", "size"),
    [
        ({1: 0.041, 2: 0.080, 4: 0.162, 8: 0.322}, 1),  # a large network on a CPU: a row is a row
        ({1: 0.0051, 2: 0.010, 4: 0.0202, 8: 0.040, 16: 0.080, 32: 0.160}, 2),
        ({1: 0.0115, 2: 0.0223, 4: 0.0408, 8: 0.0778, 16: 0.1518}, 16),  # resnet18 on a CPU: rows of 32x32
        ({1: 0.0020, 2: 0.0021, 4: 0.0022, 8: 0.0024, 16: 0.0030, 32: 0.0040}, 32),  # a GPU: a batch is a batch
        ({1: 24e-6, 2: 30e-6, 4: 60e-6, 8: 110e-6, 16: 220e-6, 32: 440e-6}, 32),
        ({1: 0.5}, 32),  # one point shows no slope
        ({1: 0.02, 2: 0.01}, 32),  # nor does noise
    ],
)
def test_batches_grow_as_long_as_they_gain(measured: dict[int, float], size: int) -> None:
    assert choose_batch_size(fit_cost(measured, 1e-4), 32) == size


def test_the_cost_of_a_batch_is_a_fixed_part_and_one_a_row() -> None:
    cost = fit_cost({rows: 0.002 + rows * 0.01 for rows in (1, 2, 4, 8)}, 3e-4)
    assert cost.fixed_s == pytest.approx(0.002 + 3e-4), "and the way to a thread and back"
    assert cost.row_s == pytest.approx(0.01)
