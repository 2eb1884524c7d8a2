"""One row in the queue (Entry), the places there that one request holds (Places), and a row's result (RowResult)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from app.batching.fair_queue import QueueClass
from app.batching.isolation import Out, Row

T = TypeVar("T")


class RowResult(NamedTuple, Generic[Out]):
    """What one row got, and what it cost."""

    output: Out
    queue_s: float
    """Seconds from submission to the start of its batch."""
    infer_s: float
    """Seconds that its whole batch ran."""
    batch_size: int


@dataclass(slots=True, eq=False)
class Entry(Generic[Row, Out]):
    """One submitted row."""

    row: Row
    settle: Callable[[RowResult[Out] | Exception], None] | None
    """Called once, in the event loop, with the row's RowResult or the exception that it failed with. None once it was
    called, or where nobody waits for the row any more.
    """
    submitted: float
    """Seconds by time.perf_counter: uvloop's clock has milliseconds only."""
    deadline: float
    """Seconds by the event loop's clock."""
    context: Context
    """The submitter's: what is logged about this row alone is logged in it."""
    queue_class: QueueClass
    turn: int = field(init=False)
    """The row's place in the order: only FairQueue sets and reads it. Unset while all rows are of one queue class."""


class Queue(Protocol[Row, Out]):
    """What Places calls: the queue itself, which the Batcher implements."""

    def submit(self, entry: Entry[Row, Out], at_once: bool) -> None:
        """Queue a row in a reserved place. `at_once`: no other row can come in this turn of the loop."""

    def abandon(self, entry: Entry[Row, Out]) -> None:
        """Free the place of a waiting row whose request went away; a row that was handed to a runner is run."""

    def release(self, places: int, queue_class: QueueClass) -> None:
        """Give back `places` reserved places that won't be used."""


class Places(Generic[Row, Out]):
    """Places in the queue that one request holds; `deadline` is in seconds by the event loop's clock. As a context
    manager it gives back the places that weren't used.
    """

    def __init__(self, queue: Queue[Row, Out], rows: int, deadline: float, queue_class: QueueClass) -> None:
        self._queue = queue
        self._left = rows
        self.deadline = deadline
        self.queue_class = queue_class

    def submit(
        self, row: Row, settle: Callable[[RowResult[Out] | Exception], None], at_once: bool = False
    ) -> Entry[Row, Out]:
        """Queue one decoded row. `settle` is called once, in the event loop, perhaps before this returns: with the
        row's RowResult, or with RowFailed where the runner can't process the row, DeviceFailed where the device failed,
        or DeadlineExceeded where the deadline passed in the queue.

        `at_once`: no other row can come in this turn of the loop, so an inline runner need not wait for its end. Raises
        ValueError where no reserved place is left.
        """
        if not self._left:
            raise ValueError("more rows were submitted than reserved")
        self._left -= 1
        entry = Entry(row, settle, time.perf_counter(), self.deadline, copy_context(), self.queue_class)
        self._queue.submit(entry, at_once)
        return entry

    def abandon(self, entry: Entry[Row, Out]) -> None:
        """Let a submitted row go: it leaves the queue without being run, and nobody is told."""
        self._queue.abandon(entry)

    async def run(self, row: Row) -> RowResult[Out]:
        """Submit one decoded row and wait for its result. If the wait is canceled, a row that still waits in the queue
        is not run.

        Raises RowFailed, DeviceFailed or DeadlineExceeded, where `submit` would pass them to `settle`.
        """
        future: asyncio.Future[RowResult[Out]] = asyncio.get_running_loop().create_future()
        entry = self.submit(row, lambda result: resolve(future, result))
        try:
            return await future
        except asyncio.CancelledError:
            self.abandon(entry)
            raise

    def release(self) -> None:
        """Give back the places that weren't used."""
        if self._left:
            left, self._left = self._left, 0
            self._queue.release(left, self.queue_class)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def resolve(future: asyncio.Future[T], result: T | Exception) -> None:
    """Set the result or the exception of a future, unless it was canceled meanwhile."""
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
