"""One row on its way through the queue, and what it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from app.batching.isolation import Out, Row

T = TypeVar("T")


class Result(NamedTuple, Generic[Out]):
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
    settle: Callable[[Result[Out] | Exception], None] | None
    """Called once, in the event loop, with the row's result or its failure; None once it was, or isn't wanted."""
    submitted: float
    """By time.perf_counter, since uvloop's clock has milliseconds only; the deadline is by the loop's clock."""
    deadline: float


def resolve(future: asyncio.Future[T], outcome: T | Exception) -> None:
    """End a future that may have been canceled meanwhile."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
