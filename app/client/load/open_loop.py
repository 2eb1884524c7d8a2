"""Requests as they come, not as answers allow: a Poisson process at a fixed rate. Latency counts from when a request
was due, not from when the generator got round to it: a server that stands still is charged with everything that had to
wait. What isn't answered rightly is late for ever: a p99 is the time in which 99 of 100 requests got their answers.

The generator is this Python process, mostly on the server's machine: where it takes a core by itself, `late` says so.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf

import numpy as np

from app.client.load.connection import Answer, Connection, Request

# Connections that take turns, each about once a second so that none idles out, up to this many: a server of several
# processes gets its load spread over all of them, as from many clients. Where all wait for answers, more are opened.
_CONNECTIONS = 64
# Beyond this many requests under way the server is hopelessly behind.
_MOST_UNDER_WAY = 2_000
# Requests that left later than this (ms) after they were due were held up by the generator itself.
_LATE_MS = 5.0


@dataclass(frozen=True)
class OpenResult:
    """`rate` is answers a second, `wrong` counts answers that weren't right, `lost` requests without one, and `late` is
    the share of requests that the generator itself sent too late. Where more requests failed than a percentile leaves
    out, it is infinite.
    """

    wanted: float
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    wrong: int
    lost: int
    late: float
    ended_early: bool = False
    """More requests were late than a p99 allows, however the rest had gone: the figures are of those until then."""

    @property
    def failed(self) -> int:
        """Requests without a right answer."""
        return self.wrong + self.lost

    def keeps(self, p99_ms: float) -> bool:
        """Whether 99 of 100 requests were answered rightly within so many milliseconds."""
        return not self.ended_early and self.p99_ms <= p99_ms


def make_arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Seconds from the start at which requests are due, rising: a Poisson process of which round(rate * seconds)
    arrivals, one at least, are known to fall into `seconds`, where each lies anywhere.
    """
    count = max(1, round(rate * seconds))
    return np.sort(np.random.default_rng(seed).uniform(0.0, seconds, count)).tolist()  # type: ignore[no-any-return]  # NumPy says Any


async def run_open_loop(
    requests: Sequence[Request],
    port: int,
    rate: float,
    seconds: float,
    *,
    is_right: Callable[[Answer], bool],
    seed: int = 0,
    p99_ms: float | None = None,
) -> OpenResult:
    """Send `requests` by turns, `rate` a second on average, to loopback's `port`; with `p99_ms` only until that can't
    be kept any more.
    """
    idle = deque(Connection(port) for _ in range(min(_CONNECTIONS, ceil(rate))))
    under_way: set[asyncio.Task[None]] = set()
    times: list[float] = []  # seconds until the right answer, of every request that is over
    answered = wrong = lost = late = beyond = 0
    arrivals = make_arrivals(rate, seconds, seed)
    bound_s = inf if p99_ms is None else p99_ms / 1e3
    most_beyond = len(arrivals) // 100

    def note(seconds: float) -> None:
        nonlocal beyond
        times.append(seconds)
        beyond += seconds > bound_s

    async def send(request: Request, due: float) -> None:
        nonlocal answered, wrong, lost, late
        late += time.perf_counter() - due > _LATE_MS / 1e3
        connection = idle.popleft() if idle else Connection(port)
        try:
            answer = await connection.send(request)
        except (OSError, asyncio.IncompleteReadError):
            lost += 1
            note(inf)
            return
        took = time.perf_counter() - due
        answered += 1
        wrong += not (right := is_right(answer))
        note(took if right else inf)
        idle.append(connection)

    start, sent, hopeless = time.perf_counter(), 0, False
    while sent < len(arrivals) and not hopeless:
        now = time.perf_counter() - start
        while sent < len(arrivals) and arrivals[sent] <= now:
            if len(under_way) >= _MOST_UNDER_WAY:
                lost += 1
                note(inf)
            else:
                task = asyncio.create_task(send(requests[sent % len(requests)], start + arrivals[sent]))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            sent += 1
        hopeless = p99_ms is not None and beyond > most_beyond
        if sent < len(arrivals):
            await asyncio.sleep(max(0.0, start + arrivals[sent] - time.perf_counter()))
    if hopeless:
        for task in under_way:
            task.cancel()
    if under_way:
        await asyncio.wait(under_way)
    spent = time.perf_counter() - start
    await asyncio.gather(*(connection.end() for connection in idle))
    times.sort()
    # The least time in which so many of a hundred were answered: between a time and never lies nothing.
    p50, p95, p99 = (1e3 * times[ceil(percent * len(times) / 100) - 1] for percent in (50, 95, 99))
    return OpenResult(rate, answered / spent, p50, p95, p99, wrong, lost, late / sent, hopeless)
