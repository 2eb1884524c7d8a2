"""Arrivals: whether clients that were answered ask again at once, so that it pays to wait for them."""

from __future__ import annotations

from math import ceil


class Arrivals:
    """Learns from each batch: as many rows as it answered may come within `patience_s`.

    Times are by time.perf_counter.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._until = 0.0
        self.expected = 0
        """Rows that those may still send who were just answered."""
        self.are_prompt = False
        """Whether as many came in time, the last time."""

    @property
    def worth_waiting_until(self) -> float:
        """Until when others are worth waiting for; 0 where nobody is."""
        return self._until if self.expected and self.are_prompt else 0.0

    def count_batch_rows(self, waiting: int, running: int, idle: int, runners: int) -> int:
        """A runner's equal part of the rows that wait and, where clients are prompt, of those that run or may come;
        otherwise idle runners share what waits.
        """
        if self.are_prompt:
            return ceil((waiting + running + self.expected) / runners)
        return ceil(waiting / idle)

    def note_arrival(self, now: float) -> None:
        """A row came."""
        if self.expected:
            self.expected -= 1
            if not self.expected:
                self.are_prompt = now <= self._until

    def expect(self, rows: int, now: float) -> None:
        """Expect as many rows to arrive as were just answered: their clients may send the next. `now` is by
        time.perf_counter.
        """
        self.forget_late(now)
        self.expected += rows
        self._until = now + self._patience_s

    def forget_late(self, now: float) -> None:
        """Nobody is expected any more whose time is over, nor waited for until some are in time again."""
        if self.expected and now >= self._until:
            self.expected, self.are_prompt = 0, False
