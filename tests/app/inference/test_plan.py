"""The plan: figures as real networks gave them, and what is chosen from each."""

import pytest

from app.inference.plan import INLINE_S, Measured, Plan, choose_plan

# Seconds of a batch in one thread, by its rows: LeNet, ResNet-18 at 32x32, and ResNet-50, whose measuring ended early.
LENET = {1: 0.00004, 2: 0.00005, 4: 0.00008, 8: 0.00014, 16: 0.00026, 32: 0.0005}
RESNET18 = {1: 0.0062, 2: 0.0098, 4: 0.0170, 8: 0.0314, 16: 0.0602, 32: 0.1178}
RESNET50 = {1: 0.098, 2: 0.196, 4: 0.392}


def measured(
    seconds: dict[int, float], *, on_gpu: bool = False, devices: int = 1, threads: int = 2, largest: int = 32
) -> Measured:
    return Measured(on_gpu, devices, threads, largest, seconds, handing_over_s=1e-4)


@pytest.mark.parametrize("threads", [1, 2, 64])
def test_a_tiny_network_runs_on_the_event_loop_whatever_cores_there_are(threads: int) -> None:
    plan = choose_plan(measured(LENET, threads=threads))
    assert (plan.inline, plan.lanes, plan.threads_alone, plan.lend_threads) == (True, 1, 0, False)
    assert plan.batch_size == 32


@pytest.mark.parametrize(("seconds", "inline"), [(INLINE_S * 0.99, True), (INLINE_S, False)])
def test_the_largest_batch_decides_what_is_tiny(seconds: float, inline: bool) -> None:
    assert choose_plan(measured({1: seconds / 32, 32: seconds})).inline == inline
    assert not choose_plan(measured({1: seconds / 32, 16: seconds})).inline, "one that wasn't measured isn't tiny"
    assert not choose_plan(measured({1: seconds / 32, 32: seconds}, on_gpu=True)).inline


def test_a_network_on_a_cpu_has_a_lane_a_core_and_all_of_them_for_a_lone_batch() -> None:
    plan = choose_plan(measured(RESNET18, threads=4))
    # A batch takes 2.6 ms + 3.6 ms a row, and 0.1 ms of handing over: beyond 49 rows it would gain nothing.
    assert plan == Plan(False, 4, 4, 32, pytest.approx(0.0027, rel=1e-6), True)


def test_one_core_has_one_lane_and_no_second_session() -> None:
    plan = choose_plan(measured(RESNET18, threads=1))
    assert (plan.inline, plan.lanes, plan.threads_alone, plan.lend_threads) == (False, 1, 0, True)


def test_a_network_with_nothing_fixed_takes_small_batches() -> None:
    assert choose_plan(measured(RESNET50)).batch_size == 1


def test_what_was_measured_once_may_take_all_that_is_allowed() -> None:
    assert choose_plan(measured({1: 2.5}, largest=8)).batch_size == 8


@pytest.mark.parametrize("devices", [1, 2])
def test_every_gpu_is_one_lane_and_its_threads_only_feed_it(devices: int) -> None:
    plan = choose_plan(measured(LENET, on_gpu=True, devices=devices, threads=16))
    assert (plan.inline, plan.lanes, plan.threads_alone, plan.lend_threads) == (False, devices, 0, False)
