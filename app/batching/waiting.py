"""WaitingRows: the rows that wait for a runner, the places reserved for others, and whether more fit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic

from app.batching.entry import Entry
from app.batching.fair_queue import DEFAULT_CLASS, FairQueue, QueueClass
from app.batching.isolation import Out, Row
from app.batching.result_delivery import ResultDelivery
from app.errors import DeadlineExceeded, Overloaded, TooManyRows


class WaitingRows(Generic[Row, Out]):
    """Rows in the order of app.batching.fair_queue. Rows whose deadline passed, or that nobody waits for, are never
    taken.

    Each queue class has `max_rows` places, so that nobody fills those of others.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, delivery: ResultDelivery, max_rows: int) -> None:
        self._loop = loop
        self._delivery = delivery
        self._max_rows = max_rows
        self.fair_queue: FairQueue[Entry[Row, Out]] = FairQueue()
        """The batcher adds rows to it."""
        self.entries = self.fair_queue.items
        """Rows that are decoded and wait for a runner."""
        self.reserved = 0
        """Places promised to requests that are still decoding."""
        self._named: dict[QueueClass, int] = {}  # places taken by each but DEFAULT_CLASS, which has the rest

    @property
    def places_taken(self) -> int:
        """Places of rows that wait, and places reserved for requests still decoding."""
        return len(self.entries) + self.reserved

    @property
    def first_came(self) -> float:
        """When the first row was submitted, in seconds by time.perf_counter."""
        if self.fair_queue.only is None:
            return min(entry.submitted for entry in self.entries)
        return self.entries[0].submitted

    def count_ahead(self, queue_class: QueueClass) -> int:
        """Rows that are served before one of `queue_class` that came now: all of a higher priority, all of its own
        class, and from each other sender of its priority at most one more than its own class has.
        """
        if queue_class is DEFAULT_CLASS and not self._named:
            return self.places_taken
        own = self._count(queue_class) + 1
        return sum(self._count_of(other, queue_class, own) for other in (DEFAULT_CLASS, *self._named))

    def check_room(self, rows: int, queue_class: QueueClass, find_wait_s: Callable[[QueueClass], float]) -> None:
        """Raises TooManyRows where `rows` rows never fit, Overloaded where they don't fit now; `find_wait_s` gives the
        seconds until there may be room.
        """
        if rows > self._max_rows:
            raise TooManyRows(
                f"the request has {rows} rows, the queue (max_queue_rows) holds {self._max_rows}: "
                "send fewer at once or raise the limit"
            )
        if self.places_taken + rows > self._max_rows and (taken := self._count(queue_class)) + rows > self._max_rows:
            raise Overloaded(
                f"{taken} of the {self._max_rows} places in the queue (max_queue_rows) are taken, "
                f"{rows} more don't fit: try again later",
                retry_after_s=find_wait_s(queue_class),
            )

    def count_named(self, queue_class: QueueClass, rows: int) -> None:
        """`rows` more places are taken by `queue_class`, which isn't DEFAULT_CLASS."""
        self._named[queue_class] = self._named.get(queue_class, 0) + rows

    def release(self, rows: int, queue_class: QueueClass) -> None:
        """Give back `rows` reserved places that won't be used."""
        self.reserved -= rows
        if queue_class is not DEFAULT_CLASS:
            self._forget(queue_class, rows)

    def remove(self, entry: Entry[Row, Out]) -> bool:
        """Remove a row, if it still waits; returns whether it did."""
        if entry not in self.entries:
            return False
        self.entries.remove(entry)
        self.forget(entry)
        return True

    def forget(self, entry: Entry[Row, Out]) -> None:
        """Free the place of a row that no longer waits."""
        if entry.queue_class is not DEFAULT_CLASS:
            self._forget(entry.queue_class, 1)

    def drop_unwanted(self) -> bool:
        """Drop the first rows until one is wanted; returns whether there is one."""
        now = self._loop.time()
        while self.entries and not self._is_wanted(self.entries[0], now):
            self._take_first()
        return bool(self.entries)

    def take(self, most: int) -> list[Entry[Row, Out]]:
        """Remove and return the first rows that are wanted, up to `most`."""
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
            if entry.queue_class is not DEFAULT_CLASS:
                self.count_named(entry.queue_class, 1)

    def _take_first(self) -> Entry[Row, Out]:
        entry = self.fair_queue.take_first()
        self.forget(entry)
        return entry

    def _forget(self, queue_class: QueueClass, rows: int) -> None:
        if left := self._named[queue_class] - rows:
            self._named[queue_class] = left
        else:
            del self._named[queue_class]

    def _count(self, queue_class: QueueClass) -> int:
        """Places that rows of this class take, reserved ones included."""
        if queue_class is DEFAULT_CLASS:
            return self.places_taken - sum(self._named.values())
        return self._named.get(queue_class, 0)

    def _count_of(self, other: QueueClass, queue_class: QueueClass, own: int) -> int:
        """Rows of `other` that are served before row number `own` of `queue_class`."""
        if other.priority != queue_class.priority:
            return self._count(other) if other.priority < queue_class.priority else 0
        return min(self._count(other), own)

    def _is_wanted(self, entry: Entry[Row, Out], now: float) -> bool:
        if entry.settle is None:
            return False
        if entry.deadline <= now:
            self._delivery.settle(entry, DeadlineExceeded("the deadline passed while the image waited in the queue"))
            return False
        return True
