"""How long batches take, learned from those that ran: what the queue's expected wait is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

# What a batch costs beside its run: the way to a thread and back.
_HANDING_OVER_S = 1e-4
# Past the batch size at which so much of the time goes into rows, larger ones only make everybody wait longer.
_GOOD_SHARE = 0.97

# The weight of the newest batch: about the last ten count, so one slow batch neither rules nor is forgotten.
_NEWEST = 0.2
# A batch that takes longer than so many times what was expected says more of the machine (it slept, or was taken away)
# than of the network.
_MOST_TIMES = 10.0


class Pace:
    """Seconds a batch by its number of rows, grouped in powers of two (1, 2, 3-4, 5-8, ...)."""

    def __init__(self, measured: dict[int, float] | None = None) -> None:
        """`measured` maps rows to seconds, as the warm-up found them."""
        self._seconds: dict[int, float] = {}
        for rows, seconds in (measured or {}).items():
            self._seconds[_group(rows)] = seconds

    def record(self, rows: int, seconds: float) -> None:
        group = _group(rows)
        before = self._seconds.get(group, seconds)
        self._seconds[group] = before + _NEWEST * (min(seconds, _MOST_TIMES * before) - before)

    def estimate(self, rows: int, max_batch_size: int) -> float:
        """Seconds until `rows` have run in batches of at most `max_batch_size`; 0 while nothing was
        measured.
        """
        full, rest = divmod(rows, max_batch_size)
        return full * self._of(max_batch_size) + (self._of(rest) if rest else 0.0)

    def _of(self, rows: int) -> float:
        """A batch costs at most what its rows cost in smaller ones, and perhaps as much as the nearest larger one.

        So what the smaller ones took lately corrects what a larger one took long ago: where its estimate turns
        requests away, it never comes to run again.
        """
        group = _group(rows)
        smaller = [seconds * 2.0 ** (group - known) for known, seconds in self._seconds.items() if known <= group]
        if smaller:
            return min(smaller)
        return self._seconds[min(self._seconds)] if self._seconds else 0.0


def choose_batch_size(measured: Mapping[int, float], largest: int) -> int:
    """The rows from which on batches gain nothing, at most `largest`.

    A batch of n takes a + b n seconds, fitted to those measured (rows to seconds). Batches share a, but each row
    waits for the whole batch: where a is small, as for a large network on a CPU, small batches are as fast and
    answer sooner.
    """
    if len(measured) < 2:
        return largest
    rows, seconds = list(measured), list(measured.values())
    # By relative error: the largest batch would rule otherwise.
    weights = [1 / second**2 for second in seconds]
    total = sum(weights)
    mean_n = sum(w * n for w, n in zip(weights, rows, strict=True)) / total
    mean_t = sum(w * t for w, t in zip(weights, seconds, strict=True)) / total
    spread = sum(w * (n - mean_n) ** 2 for w, n in zip(weights, rows, strict=True))
    slope = sum(w * (n - mean_n) * (t - mean_t) for w, n, t in zip(weights, rows, seconds, strict=True)) / spread
    if slope <= 0:
        return largest
    fixed = max(0.0, mean_t - slope * mean_n) + _HANDING_OVER_S
    return min(largest, max(1, ceil(_GOOD_SHARE / (1 - _GOOD_SHARE) * fixed / slope)))


def _group(rows: int) -> int:
    return (rows - 1).bit_length()
