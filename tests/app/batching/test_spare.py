"""Whether a process had processor time left: by a clock and a demand that the test sets."""

import time
from pathlib import Path

from app.batching.spare import WINDOW_S, WINDOWS, Spare, read_demand


class Machine:
    def __init__(self, cores: int = 2) -> None:
        self.now = self.wanted = 0.0
        self.spare = Spare(lambda: cores, lambda: self.now, lambda: self.wanted)

    def work(self, seconds: float, wanted: float) -> bool:
        """`seconds` pass in which `wanted` cores are wanted; whether there is time to spare then."""
        self.now += seconds
        self.wanted += wanted * seconds
        return self.spare.is_there()


def test_nothing_is_spare_before_anything_is_known() -> None:
    machine = Machine()
    assert not machine.spare.is_there()
    assert machine.spare.wait_s == WINDOW_S


def test_what_counts_is_what_all_cores_were_wanted_for_over_the_last_windows() -> None:
    machine = Machine()
    assert machine.work(WINDOW_S, 1.5)
    assert not machine.work(WINDOW_S, 1.9)
    assert machine.work(WINDOW_S, 0.0)
    assert [machine.work(WINDOW_S, 2.3) for _ in range(WINDOWS)] == WINDOWS * [False]
    assert not machine.work(WINDOW_S, 0.0), "one window with time to spare is chance"


def test_windows_of_another_time_count_no_more() -> None:
    machine = Machine()
    assert not machine.work(WINDOW_S, 2.0)
    assert machine.work(WINDOWS * WINDOW_S, 0.0)


def test_a_moment_does_not_change_what_a_whole_window_says() -> None:
    machine = Machine(cores=1)
    assert machine.work(WINDOW_S, 0.1)
    assert machine.work(WINDOW_S / 4, 1.0)
    assert machine.work(WINDOW_S / 4, 1.0)
    assert not machine.work(WINDOW_S / 2, 1.0)


def test_a_wait_for_a_core_is_wanted_as_much_as_the_use_of_one(tmp_path: Path) -> None:
    told = tmp_path / "schedstat"
    told.write_text("5000000000 3000000000000 70\n")
    used = time.process_time()
    assert used + 3_000 <= read_demand(told) <= time.process_time() + 3_000


def test_where_the_system_does_not_tell_of_waits_only_the_use_is_known(tmp_path: Path) -> None:
    used = time.process_time()
    assert used <= read_demand(tmp_path / "absent") <= time.process_time()
