"""How long batches take, learned from those that ran: what the queue's expected wait is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# The batch size is chosen where larger batches would raise throughput by at most this share: beyond it they only make
# rows wait longer.
_LEFT_TO_GAIN = 0.015

# The weight of the newest batch: about the last ten count, so one slow batch neither rules nor is forgotten.
_NEWEST = 0.2
# A batch that takes longer than this many times what was expected says more about the machine (it slept, or was
# suspended) than about the network.
_MOST_TIMES = 10.0
# A batch that holds all waiting rows of some sender also takes rows of others, as long as they make it at most this
# many times as long.
_FREE_RIDE = 1.25


class Pace:
    """Seconds per batch by its number of rows, grouped in powers of two (1, 2, 3-4, 5-8, ...)."""

    def __init__(self, measured: dict[int, float] | None = None) -> None:
        """`measured` maps rows to seconds, as the warm-up found them."""
        self._seconds: dict[int, float] = {}
        for rows, seconds in (measured or {}).items():
            self._seconds[_group(rows)] = seconds

    def record(self, rows: int, seconds: float) -> None:
        """A batch of `rows` ran in `seconds`. The estimates of other sizes change half as much: a slow machine slows
        them all, and a size that doesn't run now, because others do or because its estimate turns requests away, would
        otherwise keep an outdated one.
        """
        ran = _group(rows)
        moved = min(seconds / before, _MOST_TIMES) - 1 if (before := self._of(rows)) else 0.0
        self._seconds.setdefault(ran, seconds)
        for group in self._seconds:
            self._seconds[group] *= 1 + moved * (_NEWEST if group == ran else _NEWEST / 2)

    def estimate(self, rows: int, max_batch_size: int) -> float:
        """Seconds until `rows` have run in batches of at most `max_batch_size`; 0 while nothing was
        measured.
        """
        full, rest = divmod(rows, max_batch_size)
        return full * self._of(max_batch_size) + (self._of(rest) if rest else 0.0)

    def fill_up(self, rows: int, most: int) -> int:
        """How many rows, up to `most`, a batch of `rows` may be filled up to and still take hardly longer."""
        enough = _FREE_RIDE * self._of(rows)
        sizes = (min(most, 1 << group) for group in range(_group(rows), _group(most) + 1))
        return max([rows, *(size for size in sizes if self._of(size) <= enough)])

    def _of(self, rows: int) -> float:
        """A size that never ran costs what its rows cost in the nearest smaller one, or else the nearest larger one."""
        group = _group(rows)
        known = max((found for found in self._seconds if found <= group), default=min(self._seconds, default=group))
        return self._seconds.get(known, 0.0) * 2.0 ** max(0, group - known)


class BatchCost(NamedTuple):
    """A batch of n rows takes `fixed_s` + n * `row_s` seconds, the way to a thread and back included; `row_s` is 0
    where it isn't known.
    """

    fixed_s: float
    row_s: float


def fit_cost(measured: Mapping[int, float], handing_over_s: float) -> BatchCost:
    """The cost of batches, fitted to measured ones (rows to seconds) by relative error: by absolute error the largest
    would decide. Handing a batch to a thread costs `handing_over_s` seconds more.
    """
    unknown = BatchCost(handing_over_s, 0.0)
    if len(measured) < 2:
        return unknown
    rows, seconds = list(measured), list(measured.values())
    weights = [1 / second**2 for second in seconds]
    total = sum(weights)
    mean_n = sum(w * n for w, n in zip(weights, rows, strict=True)) / total
    mean_t = sum(w * t for w, t in zip(weights, seconds, strict=True)) / total
    spread = sum(w * (n - mean_n) ** 2 for w, n in zip(weights, rows, strict=True))
    slope = sum(w * (n - mean_n) * (t - mean_t) for w, n, t in zip(weights, rows, seconds, strict=True)) / spread
    if slope <= 0:  # noise
        return unknown
    return BatchCost(max(0.0, mean_t - slope * mean_n) + handing_over_s, slope)


def choose_batch_size(cost: BatchCost, largest: int) -> int:
    """The batch size from which on larger batches hardly raise throughput, at most `largest`.

    The rows of a batch share its fixed cost, but each waits for the whole batch: where the fixed cost is small, as for
    a large network on a CPU, small batches are as fast and answer sooner.
    """
    if not cost.row_s:
        return largest
    return min(largest, max(1, int((1 / _LEFT_TO_GAIN - 1) * cost.fixed_s / cost.row_s)))


def _group(rows: int) -> int:
    return (rows - 1).bit_length()
