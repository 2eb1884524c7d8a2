"""WaitingRows: the rows that wait for a runner, those that will, and how many more may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic

from app.batching.entry import Entry
from app.batching.fair_queue import PLAIN, FairQueue, Standing
from app.batching.isolation import Out, Row
from app.batching.telling import Telling
from app.errors import DeadlineExceeded, Overloaded, TooManyRows


class WaitingRows(Generic[Row, Out]):
    """Rows in the order of app.batching.fair_queue. Those whose deadline passed, or that nobody wants, are never given
    out.

    Each sender has `max_rows` places in each class, so that nobody fills those of others.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, telling: Telling, max_rows: int) -> None:
        self._loop = loop
        self._telling = telling
        self._max_rows = max_rows
        self.fair_queue: FairQueue[Entry[Row, Out]] = FairQueue()
        """Rows are added to it."""
        self.entries = self.fair_queue.items
        """Those that are decoded and wait for a runner."""
        self.reserved = 0
        """Places promised to requests that are still decoding."""
        self._named: dict[Standing, int] = {}  # places taken by each but PLAIN, which has the rest

    @property
    def places_taken(self) -> int:
        """By rows that wait, and by those reserved for requests still decoding."""
        return len(self.entries) + self.reserved

    @property
    def first_came(self) -> float:
        """When the first row was submitted, by time.perf_counter."""
        if self.fair_queue.only is None:
            return min(entry.submitted for entry in self.entries)
        return self.entries[0].submitted

    def count_ahead(self, standing: Standing) -> int:
        """Rows that are served before one of `standing` that came now: of its class, from each other sender as many as
        it waits for itself.
        """
        if standing is PLAIN and not self._named:
            return self.places_taken
        own = self._count(standing) + 1
        return sum(self._count_of(other, standing, own) for other in (PLAIN, *self._named))

    def check_room(self, rows: int, standing: Standing, find_wait_s: Callable[[Standing], float]) -> None:
        """Raises TooManyRows where so many rows never fit, Overloaded where they don't fit now; `find_wait_s` gives
        the seconds until there may be room.
        """
        if rows > self._max_rows:
            raise TooManyRows(
                f"the request has {rows} rows, the queue (max_queue_rows) holds {self._max_rows}: "
                "send fewer at once or raise the limit"
            )
        if self.places_taken + rows > self._max_rows and (taken := self._count(standing)) + rows > self._max_rows:
            raise Overloaded(
                f"{taken} of the {self._max_rows} places in the queue (max_queue_rows) are taken, "
                f"{rows} more don't fit: try again later",
                retry_after_s=find_wait_s(standing),
            )

    def count_named(self, standing: Standing, rows: int) -> None:
        """So many more places are taken by one who isn't PLAIN."""
        self._named[standing] = self._named.get(standing, 0) + rows

    def release(self, rows: int, standing: Standing) -> None:
        """Promised places that nobody will use."""
        self.reserved -= rows
        if standing is not PLAIN:
            self._forget(standing, rows)

    def remove(self, entry: Entry[Row, Out]) -> bool:
        """Whether it waited here still."""
        if entry not in self.entries:
            return False
        self.entries.remove(entry)
        self.forget(entry)
        return True

    def forget(self, entry: Entry[Row, Out]) -> None:
        """A row that had a place waits no longer."""
        if entry.standing is not PLAIN:
            self._forget(entry.standing, 1)

    def drop_unwanted(self) -> bool:
        """Let the first rows go until one is wanted; whether there is one."""
        now = self._loop.time()
        while self.entries and not self._is_wanted(self.entries[0], now):
            self._take_first()
        return bool(self.entries)

    def take(self, most: int) -> list[Entry[Row, Out]]:
        """The first rows that are wanted, up to `most`."""
        taken: list[Entry[Row, Out]] = []
        now = self._loop.time()
        take_first = self._take_first if self._named or self.fair_queue.only is None else self.entries.popleft
        while self.entries and len(taken) < most:
            entry = take_first()
            if self._is_wanted(entry, now):
                taken.append(entry)
        return taken

    def put_back(self, entries: Sequence[Entry[Row, Out]]) -> None:
        """Rows that were taken last wait again, before all others."""
        self.fair_queue.put_back(entries)
        for entry in entries:
            if entry.standing is not PLAIN:
                self.count_named(entry.standing, 1)

    def _take_first(self) -> Entry[Row, Out]:
        entry = self.fair_queue.take_first()
        self.forget(entry)
        return entry

    def _forget(self, standing: Standing, rows: int) -> None:
        if left := self._named[standing] - rows:
            self._named[standing] = left
        else:
            del self._named[standing]

    def _count(self, standing: Standing) -> int:
        """Places that are taken by one sender in one class."""
        if standing is PLAIN:
            return self.places_taken - sum(self._named.values())
        return self._named.get(standing, 0)

    def _count_of(self, other: Standing, standing: Standing, own: int) -> int:
        """Rows of `other` that are served before the one that is `standing`'s own-th."""
        if other.priority != standing.priority:
            return self._count(other) if other.priority < standing.priority else 0
        return min(self._count(other), own)

    def _is_wanted(self, entry: Entry[Row, Out], now: float) -> bool:
        if entry.settle is None:
            return False
        if entry.deadline <= now:
            self._telling.settle(entry, DeadlineExceeded("the deadline passed while the image waited in the queue"))
            return False
        return True
