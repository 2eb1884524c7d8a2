"""SlicedWork: long work on the event loop, done one slice per turn, so that whatever else is ready runs in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import copy_context

from app.batching.fair_queue import FairQueue, QueueClass


class _Work:
    """The slices that one request has left."""

    __slots__ = ("context", "queue_class", "slices", "turn")

    def __init__(self, slices: Iterator[None], queue_class: QueueClass) -> None:
        self.slices = slices
        self.context = copy_context()  # a turn starts in the context of another request
        self.queue_class = queue_class
        self.turn = 0


class SlicedWork:
    """The work of several requests, one slice of it per turn of the event loop. app.batching.fair_queue decides whose
    slice is next.
    """

    def __init__(self) -> None:
        self._waiting: FairQueue[_Work] = FairQueue()
        self._going: asyncio.Handle | None = None

    def begin(self, slices: Iterator[None], queue_class: QueueClass) -> None:
        """Schedule the work of one request: each `next(slices)` does one slice. The first is done in a later turn."""
        self._waiting.add(_Work(slices, queue_class))
        self._go_on()

    def _go_on(self) -> None:
        if self._going is None and self._waiting.items:
            self._going = asyncio.get_running_loop().call_soon(self._do_one)

    def _do_one(self) -> None:
        self._going = None
        work = self._waiting.take_first()
        try:
            work.context.run(next, work.slices)
        except StopIteration:
            pass
        else:
            self._waiting.put_back([work])
        finally:
            self._go_on()
