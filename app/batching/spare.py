"""Spare: whether this process has had processor time left lately. Knows nothing of what it is for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

# Long enough that a moment without requests at full load isn't taken for rest, short against a change of the load.
WINDOW_S = 0.25
# At full load a process that shares its cores with its clients is seen to use about three quarters of them, at half
# load up to a half.
_MOST_BUSY = 0.65
# One window shows less at full load now and then; so many of them, together a second, hardly.
WINDOWS = 4


class Spare:
    """Between two requests a process may be idle for want of a core: its clients, on the same machine, have them all.
    What it used over the last second tells the one from the other.
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
        self._busy: deque[float] = deque(maxlen=WINDOWS)  # the share of each window

    @property
    def wait_s(self) -> float:
        """Seconds until more is known."""
        return max(0.0, self._since + WINDOW_S - self._clock())

    def is_there(self) -> bool:
        """Whether a good third of the cores' time was left over, in the last window and in all that are known."""
        now = self._clock()
        if (passed := now - self._since) >= WINDOW_S:
            if passed >= WINDOWS * WINDOW_S:
                self._busy.clear()  # nobody asked for long: those before are of another time
            used = self._read_cpu()
            self._busy.append((used - self._used) / passed / self._count_cores())
            self._since, self._used = now, used
        return bool(self._busy) and max(self._busy[-1], sum(self._busy) / len(self._busy)) < _MOST_BUSY
