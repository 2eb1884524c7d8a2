"""Whether a process had processor time left: by a clock and a usage that the test sets."""

from app.batching.spare import WINDOW_S, WINDOWS, Spare


class Machine:
    def __init__(self, cores: int = 2) -> None:
        self.now = self.used = 0.0
        self.spare = Spare(lambda: cores, lambda: self.now, lambda: self.used)

    def work(self, seconds: float, busy: float) -> bool:
        """So long, with so many cores busy; whether there is time to spare then."""
        self.now += seconds
        self.used += busy * seconds
        return self.spare.is_there()


def test_nothing_is_spare_before_anything_is_known() -> None:
    machine = Machine()
    assert not machine.spare.is_there()
    assert machine.spare.wait_s == WINDOW_S


def test_what_counts_is_the_use_of_all_cores_over_the_last_windows() -> None:
    machine = Machine()
    assert machine.work(WINDOW_S, 1.0)
    assert not machine.work(WINDOW_S, 1.4)
    assert machine.work(WINDOW_S, 0.0)
    assert [machine.work(WINDOW_S, 2.0) for _ in range(WINDOWS)] == WINDOWS * [False]
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
