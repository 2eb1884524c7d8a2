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

# So many tries end within a few milliseconds, and a median of them doesn't follow the slow ones.
_TRIES = 25


class Lanes(Generic[Row, Out]):
    """Runners, each in a thread of its own for good: CUDA sessions want to be used from one thread. The first that is
    free takes the next batch.

    A batch that has the machine to itself, as the one before it had, is run by `alone` where there is one, in whichever
    of these threads.
    """

    def __init__(self, runners: Sequence[Runner[Row, Out]], alone: Runner[Row, Out] | None) -> None:
        self.runners = runners
        self._alone = alone
        self._without_thread = list(runners)
        self._own = threading.local()
        self._batches = 0  # that run, or wait for a runner
        self._met = False  # whether the last batch, or one since, had another beside it
        self.threads = ThreadPoolExecutor(len(runners), "runner", initializer=self._settle_in)

    @property
    def idle(self) -> int:
        """Runners without a batch; below 0 a batch waits for one."""
        return len(self.runners) - self._batches

    def take(self, *, has_company: bool) -> Callable[[Sequence[Row]], BatchResult[Out]]:
        """For one batch more, until it is given back: what to call in one of the threads. `has_company`: other rows
        run or wait.
        """
        self._batches += 1
        is_alone, self._met = not (has_company or self._met), has_company
        return self._run if self._alone is None or not is_alone else partial(run_isolated, self._alone)

    def give_back(self) -> None:
        """A batch has ended."""
        self._batches -= 1

    def _run(self, rows: Sequence[Row]) -> BatchResult[Out]:
        return run_isolated(self._own.runner, rows)

    def _settle_in(self) -> None:
        self._own.runner = self._without_thread.pop()


def measure_handing_over() -> float:
    """Seconds until a thread that sleeps has done nothing and its answer is here: what a lane's batch costs beside its
    run.
    """
    with ThreadPoolExecutor(1) as thread:
        return statistics.median(_time_nothing(thread) for _ in range(_TRIES))


def _time_nothing(thread: ThreadPoolExecutor) -> float:
    start = time.perf_counter()
    thread.submit(int).result()
    return time.perf_counter() - start
