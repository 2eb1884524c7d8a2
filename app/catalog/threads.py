"""Runs blocking reads in daemon threads, one thread for each: a read that hangs (a dead network file system) holds up
neither other reads nor the end of the process.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE_S = 5.0
"""Seconds after which a read counts as hanging."""

# Folders that are read at the same time.
_MOST_AT_ONCE = 16


def run_in_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """A future of `work()`, run in a new daemon thread. Canceling the future doesn't stop the thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = context.run(work)
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True).start()
    return future


class PatientReader:
    """Reads named things in threads and waits `patience_s` seconds for each. While a read of a thing hangs, no second
    one is started for it.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._hanging: set[str] = set()
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)

    async def read(self, what: str, work: Callable[[], T]) -> T:
        """The result or the error of `work`. Raises TimeoutError where it hangs."""
        if what in self._hanging:
            raise self._explain(what)
        async with self._places:
            reading = run_in_thread(work)
            done, _ = await asyncio.wait([reading], timeout=self._patience_s)
        if not done:
            self._hanging.add(what)
            reading.add_done_callback(lambda read: self._end_hanging(what, read))
            raise self._explain(what)
        return reading.result()

    def _explain(self, what: str) -> TimeoutError:
        return TimeoutError(f"reading {what} takes longer than {self._patience_s:g} s")

    def _end_hanging(self, what: str, read: asyncio.Future[Any]) -> None:
        self._hanging.discard(what)
        if not read.cancelled():
            read.exception()  # seen: it is read again anyway
