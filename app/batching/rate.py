"""Rates: how many rows per second each sender may have run, in one account for all processes."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from mmap import mmap

# A sender may be this many seconds ahead of its rate.
_AHEAD_S = 1.0
_NUMBER_BYTES = 8


class Rates:
    """For each sender the time until which the rows it has had use up its rate: at 10 rows per second each row moves it
    by 0.1 s. `clock` gives seconds, the same for all processes of the machine, as time.monotonic does.
    """

    def __init__(
        self, rows_per_s: Mapping[str, float], file: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`file` is the descriptor of a file, empty at first, by which processes share the account; None for one
        process.
        """
        self._rows_per_s = dict(rows_per_s)
        self._places = {name: place for place, name in enumerate(self._rows_per_s)}
        self._file = file
        self._clock = clock
        size = _NUMBER_BYTES * max(1, len(self._places))
        if file is not None:
            os.truncate(file, size)
        self._paid_until = memoryview(mmap(-1 if file is None else file, size)).cast("d")

    def find_wait(self, name: str) -> float:
        """Seconds until the sender may have more rows run; 0 where it may now, or has no limit."""
        if name not in self._places:
            return 0.0
        with self._locked(name) as place:
            return max(0.0, self._paid_until[place] - self._clock() - _AHEAD_S)

    def spend(self, name: str, rows: int) -> None:
        """Charge `rows` to the sender. They may be more than its rate allows at once: then it waits the longer."""
        if name not in self._places:
            return
        with self._locked(name) as place:
            paid = max(self._paid_until[place], self._clock())
            self._paid_until[place] = paid + rows / self._rows_per_s[name]

    @contextmanager
    def _locked(self, name: str) -> Iterator[int]:
        """The index of the sender's time, which no other process can read or write meanwhile."""
        place = self._places[name]
        if self._file is None:
            yield place
            return
        # Record locks are the process's own; flock's would belong to the file that all processes were given.
        fcntl.lockf(self._file, fcntl.LOCK_EX, _NUMBER_BYTES, place * _NUMBER_BYTES)
        try:
            yield place
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, _NUMBER_BYTES, place * _NUMBER_BYTES)
