import threading

from app.batching.lanes import measure_handing_over


def test_the_way_to_a_thread_is_measured_and_no_thread_stays() -> None:
    before = set(threading.enumerate())  # those of other tests may end meanwhile
    assert measure_handing_over() > 0
    assert set(threading.enumerate()) <= before
