"""ResultDelivery: gives each row's result or exception to whoever waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from app.batching.entry import Entry, RowResult
from app.batching.isolation import BatchResult, Out, Row
from app.errors import DeviceFailed

log = logging.getLogger(__name__)


class ResultDelivery:
    """Calls the `settle` of each row. What one of them raises must not reach the other rows of the batch."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._afterwards: list[Callable[[], object]] | None = None  # calls to make once the present batch is settled

    def settle(self, entry: Entry[Row, Out], result: RowResult[Out] | Exception) -> None:
        """Call a row's `settle` with its result, once."""
        settle, entry.settle = entry.settle, None
        if settle is not None:
            self._call(settle, result)

    def do_afterwards(self, call: Callable[[], object]) -> None:
        """For use in a row's `settle`: make `call` once every row of its batch has its result, or at once where no
        batch is being settled.
        """
        if self._afterwards is None:
            self._call(call)
        else:
            self._afterwards.append(call)

    def settle_batch(self, batch: Sequence[Entry[Row, Out]], result: BatchResult[Out]) -> None:
        """Give each row of a batch its output, or the exception that it failed with."""
        size = len(batch)
        afterwards: list[Callable[[], object]] = []
        self._afterwards = afterwards
        for place, entry in enumerate(batch):
            if place in result.outputs:
                queued = result.started - entry.submitted
                self.settle(entry, RowResult(result.outputs[place], queued, result.seconds, size))
            elif result.device_failure is not None:
                self.settle(entry, copy_failure(result.device_failure))
            else:
                failure = result.failures[place]
                entry.context.run(log.error, "the model can't process one row", exc_info=failure.__cause__)
                self.settle(entry, failure)
        self._afterwards = None
        for call in afterwards:
            self._call(call)

    def _call(self, call: Callable[..., object], *arguments: object) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self._loop.call_exception_handler({"message": "the result of a row was lost", "exception": error})


def copy_failure(failure: DeviceFailed) -> DeviceFailed:
    """A fresh exception for every row: one that is raised twice would collect the tracebacks of both."""
    return DeviceFailed(failure.detail)
