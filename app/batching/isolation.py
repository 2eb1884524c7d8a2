"""Run a batch so that one bad row fails alone: a failing batch is halved until the bad row is alone.

Called in a runner's thread, and never raises there: a thread that dies would leave its requests unanswered.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.errors import DeviceFailed, RowFailed

log = logging.getLogger(__name__)

Row = TypeVar("Row")
Out = TypeVar("Out")
Runner = Callable[[Sequence[Row]], Sequence[Out]]
"""From rows to as many results, in the same order. Raises DeviceFailed where the device is at fault, not a row."""


@dataclass(slots=True)
class BatchResult(Generic[Out]):
    """The output or the failure of each row of a batch, by the row's index in it; a failure has its cause."""

    outputs: dict[int, Out]
    failures: dict[int, RowFailed]
    device_failure: DeviceFailed | None = None
    """Set where the device failed: every row without an output fails with it."""
    started: float = 0.0
    """Seconds by time.perf_counter."""
    seconds: float = 0.0


def run_isolated(runner: Runner[Row, Out], rows: Sequence[Row]) -> BatchResult[Out]:
    """Run all rows in one call and, where that raises, in ever smaller halves.

    DeviceFailed isn't bisected: it becomes the result's `device_failure`.
    """
    result: BatchResult[Out] = BatchResult({}, {}, started=time.perf_counter())
    try:
        _run_part(runner, rows, 0, result)
    except DeviceFailed as error:
        log.exception("the device failed")
        result.device_failure = error
    result.seconds = time.perf_counter() - result.started
    return result


def _run_part(runner: Runner[Row, Out], rows: Sequence[Row], first: int, result: BatchResult[Out]) -> None:
    try:
        outputs = runner(rows)
    except DeviceFailed:
        raise
    except Exception as error:
        if len(rows) == 1:
            failure = RowFailed(f"the model can't process this image ({type(error).__name__})")
            failure.__cause__ = error
            result.failures[first] = failure
            return
    else:
        if len(outputs) != len(rows):
            raise DeviceFailed(f"the model gave {len(outputs)} results for {len(rows)} rows")
        result.outputs.update(enumerate(outputs, start=first))
        return
    middle = len(rows) // 2
    _run_part(runner, rows[:middle], first, result)
    _run_part(runner, rows[middle:], first + middle, result)
