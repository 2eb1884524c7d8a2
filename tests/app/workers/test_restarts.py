from app.workers.restarts import Restarts


def test_a_worker_that_served_or_ended_soon_once_is_replaced_at_once() -> None:
    restarts = Restarts()
    assert [restarts.find_pause(lasted_s) for lasted_s in (3600, 0.1, 3600, 0.1)] == [0, 0, 0, 0]


def test_workers_that_end_soon_one_after_the_other_are_waited_for_ever_longer_and_at_most_30_seconds() -> None:
    restarts = Restarts()
    assert [restarts.find_pause(0.1) for _ in range(8)] == [0, 2, 4, 8, 16, 30, 30, 30]
    assert restarts.find_pause(60) == 0
    assert [restarts.find_pause(0.1) for _ in range(2)] == [0, 2]
