"""One row on its way through the queue, the places that a request holds there, and what a row gets."""

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
    """From submission to the start of its batch."""
    infer_s: float
    """The run of its whole batch."""
    batch_size: int


@dataclass(slots=True, eq=False)
class Entry(Generic[Row, Out]):
    """One submitted row."""

    row: Row
    settle: Callable[[RowResult[Out] | Exception], None] | None
    """Called once, in the event loop, with the row's result or its failure; None once it was, or isn't wanted."""
    submitted: float
    """By time.perf_counter, since uvloop's clock has milliseconds only; the deadline is by the loop's clock."""
    deadline: float
    context: Context
    """The submitter's: what is logged about this row alone is logged in it."""
    queue_class: QueueClass
    turn: int = field(init=False)
    """As app.batching.fair_queue has it, who writes it."""


class Queue(Protocol[Row, Out]):
    """The queue's side of a place."""

    def submit(self, entry: Entry[Row, Out], at_once: bool) -> None:
        """A reserved place is used. `at_once`: no other row can come in this turn of the loop."""

    def abandon(self, entry: Entry[Row, Out]) -> None:
        """Free the place of a row whose request went away while it waited; one that was handed to a runner is run."""

    def release(self, places: int, queue_class: QueueClass) -> None:
        """Reserved places that nobody will use."""


class Places(Generic[Row, Out]):
    """Places in the queue that one request holds: `with` gives back those that it didn't use."""

    def __init__(self, queue: Queue[Row, Out], rows: int, deadline: float, queue_class: QueueClass) -> None:
        self._queue = queue
        self._left = rows
        self.deadline = deadline
        self.queue_class = queue_class

    def submit(
        self, row: Row, settle: Callable[[RowResult[Out] | Exception], None], at_once: bool = False
    ) -> Entry[Row, Out]:
        """Queue one decoded row. `settle` is called once, in the event loop, perhaps before this returns: with its
        result, or with RowFailed for a row that the runner can't process, DeviceFailed or DeadlineExceeded.

        `at_once`: no other row can come in this turn of the loop, so an inline runner need not wait for its end.
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
        """Submit one decoded row and wait for its result. Where the wait is cancelled, the row is not run.

        Raises what `submit` tells.
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
    """End a future that may have been canceled meanwhile."""
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
