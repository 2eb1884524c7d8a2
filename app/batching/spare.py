"""Spare: whether this process has had processor time left lately. Knows nothing of what it is for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# Long enough that a moment without requests at full load isn't taken for rest, short against a change of the load.
WINDOW_S = 0.25
# At full load a process wants nine tenths of its cores and more, at half load up to eight tenths, work in spare time
# included.
_MOST_WANTED = 0.85
# One window shows less at full load now and then; this many, together a second, hardly ever do.
WINDOWS = 4

# For the thread that reads it: nanoseconds on a core, nanoseconds that it waited for one, time slices.
_SCHEDULING = Path("/proc/thread-self/schedstat")


def read_demand(scheduling: Path = _SCHEDULING) -> float:
    """Seconds of processor time that this process has used, plus those that the calling thread has waited for a core,
    which only Linux reports: elsewhere they count as 0.
    """
    waited = 0
    with suppress(OSError):
        waited = int(scheduling.read_text(encoding="utf-8").split()[1])
    return time.process_time() + waited / 1e9


class Spare:
    """Tells a process with time to spare from one that is idle for want of a core, because its clients, on the same
    machine, use them all: by the share of its cores' time that it wanted over the last second, used or waited for.
    """

    def __init__(
        self,
        count_cores: Callable[[], int],
        clock: Callable[[], float] = time.perf_counter,
        read_demand: Callable[[], float] = read_demand,
    ) -> None:
        """`count_cores` gives the cores that this process may keep busy, `clock` and `read_demand` seconds."""
        self._count_cores = count_cores
        self._clock = clock
        self._read_demand = read_demand
        self._since, self._wanted = clock(), read_demand()
        self._windows: deque[float] = deque(maxlen=WINDOWS)  # the share that each wanted

    @property
    def wait_s(self) -> float:
        """Seconds until the present window ends, and `is_there` may change."""
        return max(0.0, self._since + WINDOW_S - self._clock())

    def is_there(self) -> bool:
        """Whether 15 % of the cores' time was not wanted, in the last window and on average over the last few."""
        now = self._clock()
        if (passed := now - self._since) >= WINDOW_S:
            if passed >= WINDOWS * WINDOW_S:
                self._windows.clear()  # nobody asked for long: those before are of another time
            wanted = self._read_demand()
            self._windows.append((wanted - self._wanted) / passed / self._count_cores())
            self._since, self._wanted = now, wanted
        known = self._windows
        return bool(known) and max(known[-1], sum(known) / len(known)) < _MOST_WANTED
