"""Batcher: rows of many requests become batches for one model. One queue, one owner (the event loop).

Knows no HTTP and no ONNX: a runner is any function from a list of rows to as many results.

A row's way:  reserve -> (the caller decodes) -> submit -> queue -> batch -> its own callback.

Decisions that don't need its state have files of their own: whose turn it is, whether clients are worth waiting for,
what a batch costs. What is left looks at the same few numbers for every row (rows that wait, rows that run, idle
lanes), and stays in one class.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from math import ceil
from typing import Generic, NamedTuple

from app.batching.arrivals import Arrivals
from app.batching.cost import Pace
from app.batching.entry import Entry, Places
from app.batching.fair_queue import DEFAULT_CLASS, QueueClass
from app.batching.isolation import BatchResult, Out, Row, Runner, run_isolated
from app.batching.lanes import Lanes
from app.batching.result_delivery import ResultDelivery, copy_failure
from app.batching.waiting import WaitingRows
from app.errors import DeviceFailed, Draining, Overloaded

# A request is refused unless this many times the expected wait fits before its deadline. The estimate is of recent
# batches; in a rush the refusals alone can take half a core from the batches to come. A row that is let in and isn't
# answered in time is computed for nothing, and delays all rows behind it.
_CAUTION = 2.0


class _Batch(NamedTuple, Generic[Row, Out]):
    """A batch that was handed over to the lanes."""

    entries: list[Entry[Row, Out]]
    future: Future[BatchResult[Out]]

    def is_others(self, entry: Entry[Row, Out]) -> bool:
        """Whether its last row is of another queue class than `entry`, which may have to be served first."""
        return self.entries[-1].queue_class is not entry.queue_class


class Batcher(Generic[Row, Out]):
    """A bounded queue in front of one or more runners. Made and used inside the event loop.

    An idle runner starts at once with the rows that wait; while all are busy, rows gather, up to `max_batch_size`. A
    full batch gains nothing by waiting: it is handed over while all runners are busy, and the first one that is free
    runs it at once. With `max_wait_s` (seconds) an idle runner waits that long for a full batch, counted from the first
    row.

    Idle runners divide the waiting rows equally. Where clients that were answered send their next rows within
    `patience_s` seconds, the batcher waits for them that long, and a batch is one runner's equal part of all rows, the
    expected ones included. Otherwise the first of them would run alone, and the rest would wait for it.

    app.batching.fair_queue decides who is served before whom. A batch that was handed over and hasn't begun is taken
    back and made anew when a row of another queue class comes. Large batches don't hold up a sender with few rows
    either: a batch that holds all waiting rows of some sender ends there, unless more rows make it hardly longer.

    If no other row ran or waited when this batch and the previous one started, the runner `alone`, if there is one,
    executes it: it may use all cores, where each of the other runners uses one.

    With `inline` the runner runs on the event loop itself: a tiny network takes less time than waking a thread. All
    rows that come in one turn of the loop then run together. With `lend_threads` the threads of idle runners can be
    used for decoding (`idle_threads`).

    `on_batch` is called with the rows and the seconds of each batch, `on_device_failure` once, when the device fails.
    """

    def __init__(
        self,
        runners: Sequence[Runner[Row, Out]],
        *,
        max_batch_size: int,
        max_queue_rows: int,
        max_wait_s: float = 0.0,
        patience_s: float = 0.0,
        inline: bool = False,
        lend_threads: bool = False,
        alone: Runner[Row, Out] | None = None,
        pace: Pace | None = None,
        on_batch: Callable[[int, float], None] = lambda rows, seconds: None,
        on_device_failure: Callable[[DeviceFailed], None] = lambda failure: None,
    ) -> None:
        self.max_batch_size = max_batch_size
        self.max_queue_rows = max_queue_rows
        self.max_wait_s = max_wait_s
        self.inline = inline
        self._lends_threads = lend_threads and not inline
        self._pace = pace or Pace()
        self._on_batch = on_batch
        self._on_device_failure = on_device_failure
        self._loop = asyncio.get_running_loop()
        self.delivery = ResultDelivery(self._loop)
        self._queue: WaitingRows[Row, Out] = WaitingRows(self._loop, self.delivery, max_queue_rows)
        # Every row passes here: direct references save a call each.
        self._fair_queue, self._rows = self._queue.fair_queue, self._queue.entries
        self._running = 0  # rows inside runners, or handed over to them
        self._ahead: _Batch[Row, Out] | None = None  # handed over while all were busy
        self._arrivals = Arrivals(patience_s)
        self._lanes = Lanes(runners, alone)
        self._pumping: asyncio.Handle | None = None
        self._waiting: asyncio.TimerHandle | None = None
        self.accepts_rows = True
        """False once the model is being unloaded, the server is shutting down, or the device has failed."""
        self._closing = False
        self._failure: DeviceFailed | None = None
        self.last_busy = 0.0
        """When `is_idle` became true, in seconds by the loop's clock."""
        self._when_idle: list[Callable[[], object]] = []
        self._drained = asyncio.Event()

    @property
    def runners(self) -> Sequence[Runner[Row, Out]]:
        return self._lanes.runners

    @property
    def queue_rows(self) -> int:
        """Rows that hold a place in the queue: those waiting and those reserved for requests still decoding."""
        return self._queue.places_taken

    @property
    def waiting_rows(self) -> int:
        """Rows that are decoded and wait for a runner."""
        return len(self._rows)

    @property
    def is_idle(self) -> bool:
        """Whether no row runs, waits, or is reserved for a request still decoding."""
        return not (self._running or self._queue.places_taken)

    def call_when_idle(self, call: Callable[[], object]) -> None:
        """Call `call` once, the next time that `is_idle` becomes true."""
        self._when_idle.append(call)

    @property
    def idle_threads(self) -> Executor | None:
        """The runners' threads, where they are lent and one is idle for each row that is still being decoded; None
        otherwise. Work that they are given delays batches that come meanwhile.
        """
        return self._lanes.threads if self._lends_threads and self._queue.reserved <= self._lanes.idle else None

    def expect_answer_s(self, rows: int, queue_class: QueueClass) -> float:
        """Seconds until `rows` rows of `queue_class` that came now would be answered, by the measured times of batches:
        the runners divide the rows that run equally, then those ahead and these.
        """
        runners = len(self._lanes.runners)
        ahead = self._queue.count_ahead(queue_class) + rows
        parts = ceil(self._running / runners), ceil(ahead / runners)
        return sum(self._pace.estimate(part, self.max_batch_size) for part in parts)

    def check_room(self, rows: int, left_s: float, queue_class: QueueClass = DEFAULT_CLASS) -> None:
        """Raise what `reserve` would raise now for `rows` rows that must be answered within `left_s` seconds, so that a
        request can be refused before its body is read.
        """
        if self._failure is not None:
            raise copy_failure(self._failure)
        if self._closing:
            raise Draining("the model is being unloaded or the server is shutting down: try again")
        self._queue.check_room(rows, queue_class, lambda queue_class: self.expect_answer_s(0, queue_class))
        if self.inline or not (self._running or self._queue.count_ahead(queue_class)):
            return  # it starts within the loop's turn: whether that is in time is seen then
        wait = self.expect_answer_s(rows, queue_class) * _CAUTION
        if wait > left_s:
            raise Overloaded(
                f"the answer may take {wait * 1e3:,.0f} ms and the deadline is in {max(0.0, left_s) * 1e3:,.0f} ms: "
                "try again later or raise timeout_ms",
                retry_after_s=wait - left_s,
            )

    def reserve(self, rows: int, deadline: float, queue_class: QueueClass = DEFAULT_CLASS) -> Places[Row, Out]:
        """Reserve places for `rows` rows that must be answered by `deadline`, in seconds by the loop's clock. Reserve
        before decoding. `queue_class` must be one that `get_queue_class` returned.

        Raises TooManyRows where they can never fit, Overloaded where they don't fit now or would wait beyond the
        deadline, Draining or DeviceFailed where nothing is accepted any more.
        """
        self.check_room(rows, deadline - self._loop.time(), queue_class)
        self._queue.reserved += rows
        if queue_class is not DEFAULT_CLASS:
            self._queue.count_named(queue_class, rows)
        return Places(self, rows, deadline, queue_class)

    async def close(self) -> None:
        """Accept nothing more, finish every reserved and waiting row, then stop the threads."""
        self._closing, self.accepts_rows = True, False
        self._pump_soon()  # nobody will fill a batch that waits to be full
        await self._drained.wait()
        self._lanes.threads.shutdown(wait=False)

    def submit(self, entry: Entry[Row, Out], at_once: bool) -> None:
        """Implements app.batching.entry.Queue, as do `abandon` and `release`."""
        self._queue.reserved -= 1
        if self._failure is not None:
            self._queue.forget(entry)
            self._loop.call_soon(self.delivery.settle, entry, copy_failure(self._failure))
            self._check_idle()
            return
        if self._ahead is not None and self._ahead.is_others(entry):
            self._take_back(self._ahead)
        if entry.queue_class is self._fair_queue.only:
            self._rows.append(entry)
        else:
            self._fair_queue.add(entry)
        if self._arrivals.expected:
            self._arrivals.note_arrival(entry.submitted)
        if self.inline and (at_once or len(self._rows) >= self.max_batch_size):
            self._pump()  # a full batch; with more connections than places, the turn's end would be too late
        else:
            self._pump_soon()

    def abandon(self, entry: Entry[Row, Out]) -> None:
        entry.settle = None
        if self._queue.remove(entry):
            self._check_idle()

    def release(self, places: int, queue_class: QueueClass) -> None:
        self._queue.release(places, queue_class)
        self._check_idle()

    def _check_idle(self) -> None:
        """If no row is left, make the calls that wait for that."""
        if not self.is_idle:
            return
        self.last_busy = self._loop.time()
        if self._when_idle:
            calls, self._when_idle = self._when_idle, []
            for call in calls:
                call()
        if self._closing:
            self._drained.set()

    def _pump_soon(self) -> None:
        """Start batches in the loop's next turn, so that rows submitted within this one travel together."""
        if self._pumping is None:
            self._pumping = self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        if self._pumping is not None:
            self._pumping.cancel()
            self._pumping = None
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        while self._may_start() and self._queue.drop_unwanted():
            now = time.perf_counter()
            self._arrivals.forget_late(now)
            batch_rows = self._count_batch_rows()
            if (wait_s := self._find_wait(batch_rows, now)) > 0 and not self._closing:
                self._waiting = self._loop.call_later(wait_s, self._pump)
                break
            if self._fair_queue.only is None:
                batch_rows = self._limit(batch_rows)
            if batch := self._queue.take(batch_rows):  # the head may have expired since it was looked at
                self._start(batch)
        self._check_idle()

    def _may_start(self) -> bool:
        """Whether a runner is idle, or a full batch can be had and none waits for a runner already."""
        idle = self._lanes.idle
        return idle > 0 or (idle == 0 and len(self._rows) >= self.max_batch_size)

    def _find_wait(self, batch_rows: int, now: float) -> float:
        """Seconds for which the waiting rows should wait for more."""
        until = now
        if len(self._rows) < self.max_batch_size:
            until = self._queue.first_came + self.max_wait_s
        if len(self._rows) < batch_rows:
            until = max(until, self._arrivals.worth_waiting_until)
        return until - now

    def _count_batch_rows(self) -> int:
        """Rows of the next batch. One that is handed over while all runners are busy is full."""
        if not (idle := self._lanes.idle):
            return self.max_batch_size
        batch_rows = self._arrivals.count_batch_rows(len(self._rows), self._running, idle, len(self._lanes.runners))
        return min(self.max_batch_size, batch_rows)

    def _limit(self, batch_rows: int) -> int:
        """How many of `batch_rows` rows a batch takes, so that senders with few rows don't wait for those with many."""
        rows = self._fair_queue.count_until_done(batch_rows)
        return batch_rows if rows >= batch_rows else self._pace.fill_up(rows, batch_rows)

    def _start(self, batch: list[Entry[Row, Out]]) -> None:
        rows = [entry.row for entry in batch]
        run = self._lanes.take(has_company=bool(self._running or self._rows))
        self._running += len(batch)
        if self.inline:
            self._finish(batch, run_isolated(self._lanes.runners[0], rows))
            return

        def finish(done: asyncio.Future[BatchResult[Out]]) -> None:
            if done.cancelled():
                return
            self._ahead = None  # the lane that this one leaves has begun with it
            self._finish(batch, done.result())
            self._arrivals.expect(len(batch), time.perf_counter())
            self._pump()

        future = self._lanes.threads.submit(run, rows)
        if self._lanes.idle < 0:
            self._ahead = _Batch(batch, future)
        asyncio.wrap_future(future, loop=self._loop).add_done_callback(finish)

    def _take_back(self, ahead: _Batch[Row, Out]) -> None:
        """Queue the rows of a batch that was handed over again, unless it has begun."""
        self._ahead = None
        if ahead.future.cancel():
            self._running -= len(ahead.entries)
            self._lanes.give_back()
            self._queue.put_back(ahead.entries)

    def _finish(self, batch: list[Entry[Row, Out]], result: BatchResult[Out]) -> None:
        size = len(batch)
        self._running -= size
        self._lanes.give_back()
        self._on_batch(size, result.seconds)
        if len(result.outputs) == size:
            self._pace.record(size, result.seconds)
        self.delivery.settle_batch(batch, result)
        if result.device_failure is not None and self._failure is None:
            self._fail(result.device_failure)

    def _fail(self, failure: DeviceFailed) -> None:
        """The device failed: every waiting row fails at once, and `on_device_failure` is called."""
        self._failure, self.accepts_rows = failure, False
        for entry in self._queue.take(len(self._rows)):
            self.delivery.settle(entry, copy_failure(failure))
        self._on_device_failure(failure)
