"""Batcher: rows of many requests become batches for one model. One queue, one owner (the event loop).

Knows no HTTP and no ONNX: a runner is any function from a list of rows to as many results.

A row's way:  reserve -> (the caller decodes) -> submit -> queue -> batch -> its own callback.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from math import ceil
from types import TracebackType
from typing import Generic, Self

from app.batching.cost import Pace
from app.batching.entry import Entry, Result, resolve
from app.batching.isolation import Out, Outcome, Row, Runner, run_isolated
from app.batching.lanes import Lanes
from app.errors import DeadlineExceeded, DeviceFailed, Draining, Overloaded, TooManyRows


class Batcher(Generic[Row, Out]):
    """A bounded queue in front of one or more runners. Made and used inside the event loop.

    An idle runner starts at once with the rows that wait; while all are busy rows gather, up to
    `max_batch_size`. A full batch, which gains nothing by waiting, is handed over while all are busy, so that the first
    that is free goes on with it at once. With `max_wait_s` an idle runner waits that long for a full batch, counted
    from the first row.

    Idle runners share the rows that wait. Where clients that are answered ask again at once, within `patience_s`, they
    are waited for as long, and a batch is a runner's equal part of all rows, theirs included. Otherwise the first of
    them would go alone and the rest wait for it.

    A batch that has the machine to itself, as the one before it had, is run by `alone`, where there is one: over all
    cores, say, each of which otherwise has a runner of its own.

    Runners of tiny networks run `inline`, on the event loop itself: what they take is less than a thread's
    waking. All rows that one turn of the loop brings then travel together.

    With `lend_threads` idle runners' threads can be had for decoding (`idle_threads`).
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
        self._patience_s = patience_s
        self.inline = inline
        self._lends_threads = lend_threads and not inline
        self._alone = alone
        self._pace = pace or Pace()
        self._on_batch = on_batch
        self._on_device_failure = on_device_failure
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Entry[Row, Out]] = deque()
        self._reserved = 0  # promised to requests that are still decoding
        self._running = 0  # rows inside runners, or handed over to them
        self._batches = 0  # that these rows are in
        self._runners = runners
        self._lanes = Lanes(runners)
        self._expected = 0  # rows that those may send who were just answered
        self._expected_until = 0.0  # by time.perf_counter
        self._is_prompt = False  # whether as many came in time, the last time
        self._met = False  # whether the last batch, or one since, had another beside it
        self._pumping: asyncio.Handle | None = None
        self._waiting: asyncio.TimerHandle | None = None
        self._afterwards: list[Callable[[], object]] = []  # what to do once a whole batch is told
        self._closing = False
        self._failure: DeviceFailed | None = None
        self._drained = asyncio.Event()

    @property
    def queue_rows(self) -> int:
        """Rows that hold a place in the queue: those waiting and those reserved for requests still
        decoding.
        """
        return len(self._queue) + self._reserved

    @property
    def waiting_rows(self) -> int:
        """Rows that are decoded and wait for a runner."""
        return len(self._queue)

    @property
    def idle_threads(self) -> Executor | None:
        """The runners' threads, where they are lent and one is idle for each row that is still being decoded; None
        otherwise. What they are given holds up batches that come meanwhile.
        """
        return self._lanes.threads if self._lends_threads and self._reserved <= self._idle() else None

    def expected_wait_s(self) -> float:
        """Seconds until a row that came now would start, from the rows ahead and the measured time a row."""
        ahead = self.queue_rows + self._running
        return self._pace.estimate(ahead, self.max_batch_size) / len(self._runners)

    def check_room(self, rows: int) -> None:
        """Raise what `reserve` would raise now for want of room, so that a body need not be read in vain."""
        if self._failure is not None:
            raise _copy(self._failure)
        if self._closing:
            raise Draining("the model is being unloaded or the server is shutting down: try again")
        if rows > self.max_queue_rows:
            raise TooManyRows(
                f"the request has {rows} rows, the queue (max_queue_rows) holds {self.max_queue_rows}: "
                "send fewer at once or raise the limit"
            )
        if (taken := self.queue_rows) + rows > self.max_queue_rows:
            raise Overloaded(
                f"{taken} of the {self.max_queue_rows} places in the queue (max_queue_rows) are "
                "taken, "
                f"{rows} more don't fit: try again later",
                retry_after_s=self.expected_wait_s(),
            )

    def reserve(self, rows: int, deadline: float) -> Places[Row, Out]:
        """Places for `rows` rows that must be answered by `deadline` (the loop's clock). Reserve before
        decoding.

        Raises TooManyRows where they can never fit, Overloaded where they don't fit now or would wait
        beyond the deadline, Draining or DeviceFailed where nothing is accepted any more.
        """
        self.check_room(rows)
        wait = 0.0 if self.inline else self.expected_wait_s()  # inline a row starts within the loop's turn
        left = deadline - self._loop.time()
        if wait > left:
            raise Overloaded(
                f"the expected wait is {wait * 1e3:,.0f} ms and the deadline {max(0.0, left) * 1e3:,.0f} "
                "ms away: "
                "try again later or allow more (timeout_ms)",
                retry_after_s=wait - left,
            )
        self._reserved += rows
        return Places(self, rows, deadline)

    def do_afterwards(self, call: Callable[[], object]) -> None:
        """For a row's `settle`: have `call` made once every row of its batch was told."""
        self._afterwards.append(call)

    async def close(self) -> None:
        """Accept nothing more, finish every reserved and waiting row, then stop the threads."""
        self._closing = True
        self._pump_soon()  # nobody will fill a batch that waits to be full
        await self._drained.wait()
        self._lanes.threads.shutdown(wait=False)

    def _submit(self, entry: Entry[Row, Out], at_once: bool) -> None:
        self._reserved -= 1
        if self._failure is not None:
            self._loop.call_soon(self._settle, entry, _copy(self._failure))
            self._check_drained()
            return
        self._queue.append(entry)
        if self._expected:
            self._expected -= 1
            if not self._expected:
                self._is_prompt = entry.submitted <= self._expected_until
        if self.inline and (at_once or len(self._queue) >= self.max_batch_size):
            self._pump()  # a full batch; with more connections than places, the turn's end would be too late
        else:
            self._pump_soon()

    def _abandon(self, entry: Entry[Row, Out]) -> None:
        """Free the place of a row whose request went away while it waited; one that was handed to a runner is run."""
        entry.settle = None
        if entry in self._queue:
            self._queue.remove(entry)
            self._check_drained()

    def _release(self, places: int) -> None:
        self._reserved -= places
        self._check_drained()

    def _check_drained(self) -> None:
        if self._closing and not (self._queue or self._reserved or self._running):
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
        while self._queue and self._may_start():
            if not self._is_wanted(self._queue[0], self._loop.time()):
                self._queue.popleft()
                continue
            now = time.perf_counter()
            self._forget_late(now)
            share = self._find_share()
            if (wait_s := self._find_wait(share, now)) > 0 and not self._closing:
                self._waiting = self._loop.call_later(wait_s, self._pump)
                break
            if batch := self._take_batch(share):  # the head may have expired since it was looked at
                self._start(batch)
        self._check_drained()

    def _may_start(self) -> bool:
        """Whether a runner is idle, or a full batch can be had and none waits for a runner already."""
        idle = self._idle()
        return idle > 0 or (idle == 0 and len(self._queue) >= self.max_batch_size)

    def _idle(self) -> int:
        """Runners without a batch; below 0 a batch waits for one."""
        return len(self._runners) - self._batches

    def _expect(self, rows: int) -> None:
        """So many were just answered, and may be followed by as many."""
        now = time.perf_counter()
        self._forget_late(now)
        self._expected += rows
        self._expected_until = now + self._patience_s

    def _forget_late(self, now: float) -> None:
        """Nobody is expected any more whose time is over, nor waited for until some are in time again."""
        if self._expected and now >= self._expected_until:
            self._expected, self._is_prompt = 0, False

    def _find_wait(self, share: int, now: float) -> float:
        """Seconds for which the rows that wait had better go on waiting for others."""
        until = now
        if len(self._queue) < self.max_batch_size:
            until = self._queue[0].submitted + self.max_wait_s
        if self._expected and self._is_prompt and len(self._queue) < share:
            until = max(until, self._expected_until)
        return until - now

    def _find_share(self) -> int:
        """Rows of the next batch. One that is handed over is full."""
        if not self._idle():
            return self.max_batch_size
        rows, runners = len(self._queue), self._idle()
        if self._is_prompt:
            rows, runners = rows + self._running + self._expected, len(self._runners)
        return min(self.max_batch_size, ceil(rows / runners))

    def _take_batch(self, most: int) -> list[Entry[Row, Out]]:
        batch: list[Entry[Row, Out]] = []
        now = self._loop.time()
        while self._queue and len(batch) < most:
            entry = self._queue.popleft()
            if self._is_wanted(entry, now):
                batch.append(entry)
        return batch

    def _is_wanted(self, entry: Entry[Row, Out], now: float) -> bool:
        if entry.settle is None:
            return False
        if entry.deadline <= now:
            self._settle(entry, DeadlineExceeded("the deadline passed while the image waited in the queue"))
            return False
        return True

    def _settle(self, entry: Entry[Row, Out], outcome: Result[Out] | Exception) -> None:
        """Tell whoever waits for a row."""
        settle, entry.settle = entry.settle, None
        if settle is not None:
            self._tell(settle, outcome)

    def _tell(self, call: Callable[..., object], *arguments: object) -> None:
        """What goes wrong on the way to one client must not reach the other rows of the batch."""
        try:
            call(*arguments)
        except Exception as error:
            self._loop.call_exception_handler({"message": "the answer to a row was lost", "exception": error})

    def _start(self, batch: list[Entry[Row, Out]]) -> None:
        rows, run = [entry.row for entry in batch], self._lanes.run
        if self._running or self._queue:
            self._met = True
        else:
            if self._alone is not None and not self._met:
                run = partial(run_isolated, self._alone)
            self._met = False
        self._running += len(batch)
        self._batches += 1
        if self.inline:
            self._finish(batch, run_isolated(self._runners[0], rows))
            os.sched_yield()  # a process that waits for this core, such as another worker, goes on sooner
            return

        def finish(done: asyncio.Future[Outcome[Out]]) -> None:
            self._finish(batch, done.result())
            self._expect(len(batch))
            self._pump()

        self._loop.run_in_executor(self._lanes.threads, run, rows).add_done_callback(finish)

    def _finish(self, batch: list[Entry[Row, Out]], outcome: Outcome[Out]) -> None:
        size = len(batch)
        self._running -= size
        self._batches -= 1
        self._on_batch(size, outcome.seconds)
        if len(outcome.outputs) == size:
            self._pace.record(size, outcome.seconds)
        for place, entry in enumerate(batch):
            if place in outcome.outputs:
                queued = outcome.started - entry.submitted
                self._settle(entry, Result(outcome.outputs[place], queued, outcome.seconds, size))
            elif outcome.device_failure is not None:
                self._settle(entry, _copy(outcome.device_failure))
            else:
                self._settle(entry, outcome.failures[place])
        afterwards, self._afterwards = self._afterwards, []
        for call in afterwards:
            self._tell(call)
        if outcome.device_failure is not None and self._failure is None:
            self._fail(outcome.device_failure)

    def _fail(self, failure: DeviceFailed) -> None:
        """The device is gone: every waiting row gets 503 at once, and the owner is told, to load the model
        again.
        """
        self._failure = failure
        while self._queue:
            self._settle(self._queue.popleft(), _copy(failure))
        self._on_device_failure(failure)


class Places(Generic[Row, Out]):
    """Places in the queue that one request holds: `with` gives back those that it didn't use."""

    def __init__(self, batcher: Batcher[Row, Out], rows: int, deadline: float) -> None:
        self._batcher = batcher
        self._left = rows
        self.deadline = deadline

    def submit(
        self, row: Row, settle: Callable[[Result[Out] | Exception], None], at_once: bool = False
    ) -> Entry[Row, Out]:
        """Queue one decoded row. `settle` is called once, in the event loop, perhaps before this returns: with its
        result, or with RowFailed for a row that the runner can't process, DeviceFailed or DeadlineExceeded.

        `at_once`: no other row can come in this turn of the loop, so an inline runner need not wait for its end.
        """
        if not self._left:
            raise ValueError("more rows were submitted than reserved")
        self._left -= 1
        entry = Entry(row, settle, time.perf_counter(), self.deadline)
        self._batcher._submit(entry, at_once)
        return entry

    def abandon(self, entry: Entry[Row, Out]) -> None:
        """Let a submitted row go: it leaves the queue unrun, and nobody is told."""
        self._batcher._abandon(entry)

    async def run(self, row: Row) -> Result[Out]:
        """Submit one decoded row and wait for its result. Cancel the wait and the row leaves the queue unrun.

        Raises what `submit` tells.
        """
        future: asyncio.Future[Result[Out]] = asyncio.get_running_loop().create_future()
        entry = self.submit(row, lambda outcome: resolve(future, outcome))
        try:
            return await future
        except asyncio.CancelledError:
            self.abandon(entry)
            raise

    def release(self) -> None:
        """Give back the places that weren't used."""
        self._batcher._release(self._left)
        self._left = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _copy(failure: DeviceFailed) -> DeviceFailed:
    """A fresh exception for every row: one raised twice would gather the tracebacks of all its raisings."""
    return DeviceFailed(failure.detail)
