"""Open-loop load generator: requests are due by a Poisson process at a fixed rate, whether or not earlier ones have
been answered. Latency counts from when a request was due, so that a server that stalls is charged for every request
that waited. A failed request (a wrong answer or none) has infinite latency: the p99 is the time within which 99 of 100
requests were answered rightly.

The generator is this Python process, mostly on the server's machine. Where it is itself too slow, `sent_late` shows it.
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
# With this many requests under way, further ones aren't sent and count as lost: the server can't keep the rate.
_MOST_UNDER_WAY = 2_000
# A request that was sent this long (ms) after it was due counts as sent late.
_SENT_LATE_MS = 5.0


@dataclass(frozen=True)
class OpenResult:
    """`wrong` counts answers that weren't right, `lost` requests without an answer. A percentile is infinite if more
    requests failed than it leaves out.
    """

    target_rate: float
    """Requests per second that were to be sent."""
    rate: float
    """Answers per second, wrong ones included."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    wrong: int
    lost: int
    sent_late: float
    """Share (0 to 1) of the requests that the generator itself sent late."""
    ended_early: bool = False
    """The run ended once more than 1 of 100 of its requests had missed `p99_ms`: the figures are of those until then.
    """

    @property
    def failed(self) -> int:
        """Requests without a right answer."""
        return self.wrong + self.lost

    def keeps(self, p99_ms: float) -> bool:
        """Whether 99 of 100 requests were answered rightly within `p99_ms` milliseconds."""
        return not self.ended_early and self.p99_ms <= p99_ms


def make_arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Seconds from the start at which requests are due, rising: max(1, round(rate * seconds)) of them, uniform over
    `seconds`, which is a Poisson process given the number of its arrivals.
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
    """Send `requests` in turn to `port` of the loopback address, `rate` per second on average, for `seconds`. With
    `p99_ms` the run ends as soon as that p99 can't be kept any more.
    """
    idle = deque(Connection(port) for _ in range(min(_CONNECTIONS, ceil(rate))))
    under_way: set[asyncio.Task[None]] = set()
    times: list[float] = []  # seconds until the right answer, of every request that is over
    answered = wrong = lost = sent_late = beyond = 0
    arrivals = make_arrivals(rate, seconds, seed)
    bound_s = inf if p99_ms is None else p99_ms / 1e3
    most_beyond = len(arrivals) // 100

    def note(seconds: float) -> None:
        nonlocal beyond
        times.append(seconds)
        beyond += seconds > bound_s

    async def send(request: Request, due: float) -> None:
        nonlocal answered, wrong, lost, sent_late
        sent_late += time.perf_counter() - due > _SENT_LATE_MS / 1e3
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
    # No interpolation: failed requests count as infinite latency.
    p50, p95, p99 = (1e3 * times[ceil(percent * len(times) / 100) - 1] for percent in (50, 95, 99))
    return OpenResult(rate, answered / spent, p50, p95, p99, wrong, lost, sent_late / sent, hopeless)
