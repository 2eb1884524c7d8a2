"""Spare: whether this process has had processor time left lately. Knows nothing of what it is for."""

from __future__ import annotations

import time
from collections.abc import Callable

# Long enough that a moment without requests at full load isn't taken for rest, short against a change of the load.
WINDOW_S = 0.25
# At full load a process that shares its cores with others is seen to use about three quarters of them, and less now and
# then; at half load two fifths.
_MOST_BUSY = 0.55


class Spare:
    """Between two requests a process may be idle for want of a core: its clients, on the same machine, have them all.
    What it used over the last quarter of a second tells the one from the other.
    """

    def __init__(
        self,
        count_cores: Callable[[], int],
        clock: Callable[[], float] = time.perf_counter,
        read_cpu: Callable[[], float] = time.process_time,
    ) -> None:
        """`count_cores` are those that this process may keep busy; the others give seconds."""
        self._count_cores = count_cores
        self._clock = clock
        self._read_cpu = read_cpu
        self._since, self._used = clock(), read_cpu()
        self._busy = 1.0  # until something is known

    @property
    def wait_s(self) -> float:
        """Seconds until more is known."""
        return max(0.0, self._since + WINDOW_S - self._clock())

    def is_there(self) -> bool:
        """Whether nearly half of the cores' time was left over."""
        now = self._clock()
        if (passed := now - self._since) >= WINDOW_S:
            used = self._read_cpu()
            self._busy = (used - self._used) / passed / self._count_cores()
            self._since, self._used = now, used
        return self._busy < _MOST_BUSY
