"""Pieces: long work of the event loop done a piece a turn, so that whatever else is ready comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import copy_context

from app.batching.fair_queue import FairQueue, QueueClass


class _Work:
    """What is left of one request's."""

    __slots__ = ("context", "pieces", "queue_class", "turn")

    def __init__(self, pieces: Iterator[None], queue_class: QueueClass) -> None:
        self.pieces = pieces
        self.context = copy_context()  # a turn is begun in that of another request
        self.queue_class = queue_class
        self.turn = 0


class Pieces:
    """Work that requests do in pieces, one piece in a turn of the event loop. Whose piece is next is chosen by
    app.batching.fair_queue.
    """

    def __init__(self) -> None:
        self._waiting: FairQueue[_Work] = FairQueue()
        self._going: asyncio.Handle | None = None

    def begin(self, pieces: Iterator[None], queue_class: QueueClass) -> None:
        """Do the work of one request: each `next(pieces)` does a piece of it. The first is done in a later turn."""
        self._waiting.add(_Work(pieces, queue_class))
        self._go_on()

    def _go_on(self) -> None:
        if self._going is None and self._waiting.items:
            self._going = asyncio.get_running_loop().call_soon(self._do_one)

    def _do_one(self) -> None:
        self._going = None
        work = self._waiting.take_first()
        try:
            work.context.run(next, work.pieces)
        except StopIteration:
            pass
        else:
            self._waiting.put_back([work])
        finally:
            self._go_on()
