"""WaitingRows: the rows that hold a place in one queue, and how many more may."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic

from app.batching.entry import Entry
from app.batching.isolation import Out, Row
from app.batching.telling import Telling
from app.errors import DeadlineExceeded, Overloaded, TooManyRows


class WaitingRows(Generic[Row, Out]):
    """Rows in the order in which they came. Those whose deadline passed, or that nobody wants, are never given out."""

    def __init__(self, loop: asyncio.AbstractEventLoop, telling: Telling, max_rows: int) -> None:
        self._loop = loop
        self._telling = telling
        self._max_rows = max_rows
        self.entries: deque[Entry[Row, Out]] = deque()
        """Those that are decoded and wait for a runner."""
        self.reserved = 0
        """Places promised to requests that are still decoding."""

    @property
    def places_taken(self) -> int:
        """By rows that wait, and by those reserved for requests still decoding."""
        return len(self.entries) + self.reserved

    @property
    def first_came(self) -> float:
        """When the first row was submitted, by time.perf_counter."""
        return self.entries[0].submitted

    def check_room(self, rows: int, find_wait_s: Callable[[], float]) -> None:
        """Raises TooManyRows where so many rows never fit, Overloaded where they don't fit now; `find_wait_s` gives
        the seconds until there may be room.
        """
        if rows > self._max_rows:
            raise TooManyRows(
                f"the request has {rows} rows, the queue (max_queue_rows) holds {self._max_rows}: "
                "send fewer at once or raise the limit"
            )
        if (taken := self.places_taken) + rows > self._max_rows:
            raise Overloaded(
                f"{taken} of the {self._max_rows} places in the queue (max_queue_rows) are taken, "
                f"{rows} more don't fit: try again later",
                retry_after_s=find_wait_s(),
            )

    def remove(self, entry: Entry[Row, Out]) -> bool:
        """Whether it waited here still."""
        if entry not in self.entries:
            return False
        self.entries.remove(entry)
        return True

    def drop_unwanted(self) -> bool:
        """Let the first rows go until one is wanted; whether there is one."""
        now = self._loop.time()
        while self.entries and not self._is_wanted(self.entries[0], now):
            self.entries.popleft()
        return bool(self.entries)

    def take(self, most: int) -> list[Entry[Row, Out]]:
        """The first rows that are wanted, up to `most`."""
        taken: list[Entry[Row, Out]] = []
        now = self._loop.time()
        while self.entries and len(taken) < most:
            entry = self.entries.popleft()
            if self._is_wanted(entry, now):
                taken.append(entry)
        return taken

    def _is_wanted(self, entry: Entry[Row, Out], now: float) -> bool:
        if entry.settle is None:
            return False
        if entry.deadline <= now:
            self._telling.settle(entry, DeadlineExceeded("the deadline passed while the image waited in the queue"))
            return False
        return True
