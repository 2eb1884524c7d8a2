"""Arrivals: whether clients that were answered send their next rows at once, so that a batch should wait for them."""

from __future__ import annotations

from math import ceil


class Arrivals:
    """Learns from each batch: after it was answered, as many new rows may come within `patience_s` seconds.

    Times are in seconds, by time.perf_counter.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._until = 0.0
        self.expected = 0
        """Rows that the clients just answered may still send: one for each row answered, less those that came."""
        self.are_prompt = False
        """Whether, the last time, all expected rows came within `patience_s`."""

    @property
    def worth_waiting_until(self) -> float:
        """The time until which a batch should wait for more rows; 0 where it shouldn't."""
        return self._until if self.expected and self.are_prompt else 0.0

    def count_batch_rows(self, waiting: int, running: int, idle: int, runners: int) -> int:
        """Rows of the next batch. Where clients are prompt, the rows that wait, run and are expected are divided
        equally among all `runners`; otherwise the rows that wait among the `idle` ones.
        """
        if self.are_prompt:
            return ceil((waiting + running + self.expected) / runners)
        return ceil(waiting / idle)

    def note_arrival(self, now: float) -> None:
        """A row came at `now`."""
        if self.expected:
            self.expected -= 1
            if not self.expected:
                self.are_prompt = now <= self._until

    def expect(self, rows: int, now: float) -> None:
        """`rows` rows were just answered, at `now`: expect as many new ones."""
        self.forget_late(now)
        self.expected += rows
        self._until = now + self._patience_s

    def forget_late(self, now: float) -> None:
        """Rows whose time is over are no longer expected; none are waited for until they come in time again."""
        if self.expected and now >= self._until:
            self.expected, self.are_prompt = 0, False
