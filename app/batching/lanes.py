"""Lanes: the threads that runners work in, and which runner a batch gets."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic

from app.batching.isolation import BatchResult, Out, Row, Runner, run_isolated

# This many tries end within a few milliseconds, and a median of them doesn't follow the slow ones.
_TRIES = 25


class Lanes(Generic[Row, Out]):
    """Runners, each in a thread of its own for good: CUDA sessions want to be used from one thread. The first that is
    free takes the next batch.

    If no other row ran or waited when this batch and the previous one started, the runner `alone`, if there is one,
    executes it, in whichever of these threads is free.
    """

    def __init__(self, runners: Sequence[Runner[Row, Out]], alone: Runner[Row, Out] | None) -> None:
        self.runners = runners
        self._alone = alone
        self._without_thread = list(runners)
        self._own = threading.local()
        self._batches = 0  # that run, or wait for a runner
        self._had_company = False  # whether other rows ran or waited when the last batch started
        self.threads = ThreadPoolExecutor(len(runners), "runner", initializer=self._settle_in)

    @property
    def idle(self) -> int:
        """Runners without a batch; below 0 a batch waits for one."""
        return len(self.runners) - self._batches

    def take(self, *, has_company: bool) -> Callable[[Sequence[Row]], BatchResult[Out]]:
        """Count one batch more, until `give_back`. Returns what to call with its rows in one of the threads.
        `has_company`: other rows run or wait.
        """
        self._batches += 1
        is_alone, self._had_company = not (has_company or self._had_company), has_company
        return self._run if self._alone is None or not is_alone else partial(run_isolated, self._alone)

    def give_back(self) -> None:
        """A batch has ended."""
        self._batches -= 1

    def _run(self, rows: Sequence[Row]) -> BatchResult[Out]:
        return run_isolated(self._own.runner, rows)

    def _settle_in(self) -> None:
        self._own.runner = self._without_thread.pop()


def measure_handing_over() -> float:
    """Seconds to hand an empty task to a sleeping thread and get its result back: what a lane's batch costs besides its
    run.
    """
    with ThreadPoolExecutor(1) as thread:
        return statistics.median(_time_nothing(thread) for _ in range(_TRIES))


def _time_nothing(thread: ThreadPoolExecutor) -> float:
    start = time.perf_counter()
    thread.submit(int).result()
    return time.perf_counter() - start
