"""How long batches take, learned from those that ran: what the queue's expected wait is computed from."""

from __future__ import annotations

# The weight of the newest batch: about the last ten count, so one slow batch neither rules nor is forgotten.
_NEWEST = 0.2


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
        self._seconds[group] = before + _NEWEST * (seconds - before)

    def estimate(self, rows: int, max_batch_size: int) -> float:
        """Seconds until `rows` have run in batches of at most `max_batch_size`; 0 while nothing was
        measured.
        """
        full, rest = divmod(rows, max_batch_size)
        return full * self._of(max_batch_size) + (self._of(rest) if rest else 0.0)

    def _of(self, rows: int) -> float:
        group = _group(rows)
        if group in self._seconds or not self._seconds:
            return self._seconds.get(group, 0.0)
        nearest = min(self._seconds, key=lambda known: abs(known - group))
        # In proportion to the rows when scaling up; a smaller batch may cost as much as the nearest known
        # one.
        return self._seconds[nearest] * max(1.0, 2.0 ** (group - nearest))


def _group(rows: int) -> int:
    return (rows - 1).bit_length()
