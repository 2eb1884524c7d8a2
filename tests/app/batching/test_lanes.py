import threading

from app.batching.lanes import measure_handing_over


def test_the_way_to_a_thread_is_measured_and_no_thread_stays() -> None:
    before = threading.active_count()
    assert measure_handing_over() > 0
    assert threading.active_count() == before
