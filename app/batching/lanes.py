"""Lanes: the threads that runners work in."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic

from app.batching.isolation import Out, Outcome, Row, Runner, run_isolated


class Lanes(Generic[Row, Out]):
    """Runners, each in a thread of its own for good: CUDA sessions want to be used from one thread. The first that is
    free takes the next batch.
    """

    def __init__(self, runners: Sequence[Runner[Row, Out]]) -> None:
        self._without_thread = list(runners)
        self._own = threading.local()
        self.threads = ThreadPoolExecutor(len(runners), "runner", initializer=self._settle_in)

    def run(self, rows: Sequence[Row]) -> Outcome[Out]:
        """Called in one of the threads."""
        return run_isolated(self._own.runner, rows)

    def _settle_in(self) -> None:
        self._own.runner = self._without_thread.pop()
