"""How long a call takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

_BURN_IN, _LEAST = 3, 5


def median_seconds(call: Callable[[], object], seconds: float) -> float:
    """Median of the calls that fit into about `seconds`; at least five, after three that don't count."""
    for _ in range(_BURN_IN):
        call()
    taken: list[float] = []
    while len(taken) < _LEAST or sum(taken) < seconds:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)
