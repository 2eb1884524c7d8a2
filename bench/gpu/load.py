"""Load over HTTP by processes of our own: a closed loop over a number of connections, every status counted.

A machine rented by the hour needn't have wrk. Imports nothing heavy: every process begins with this file.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app.client.load.connection import Connection, Request

# Answers of the first half second don't count: connections open, and batches find their size.
SETTLE_S = 0.5
_GIVE_UP_S = 60.0


@dataclass(frozen=True)
class Load:
    """Answers a second with status 200, and milliseconds until them."""

    rate: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]
    lost: int
    """Connections that broke."""


def run_load(port: int, requests: Sequence[Request], connections: int, seconds: float, processes: int) -> Load:
    """Send `requests` over and over on `connections` for `seconds`, divided among `processes` processes."""
    processes = max(1, min(processes, connections))
    shares = [connections // processes + (place < connections % processes) for place in range(processes)]
    context = multiprocessing.get_context("spawn")  # a fork would take CUDA's state along
    with context.Pool(processes) as pool:
        pool.map(_wake, range(processes))
        begin = time.time() + 0.2
        jobs = [(port, list(requests), share, begin, seconds) for share in shares]
        parts = pool.starmap_async(_work, jobs, chunksize=1).get(seconds + SETTLE_S + 2 * _GIVE_UP_S)
    return _join(parts, seconds)


def _wake(_: int) -> None:
    """The process is there, and this module with it."""


def _work(port: int, requests: list[Request], connections: int, begin: float, seconds: float) -> tuple[Any, ...]:
    """In a process of its own: milliseconds of the answers within the window, statuses, and what broke."""
    with suppress(ImportError):
        import uvloop

        return uvloop.run(_drive(port, requests, connections, begin, seconds))
    return asyncio.run(_drive(port, requests, connections, begin, seconds))


async def _drive(port: int, requests: list[Request], connections: int, begin: float, seconds: float) -> tuple[Any, ...]:
    took: list[float] = []
    statuses: Counter[str] = Counter()
    lost = 0
    first, last = begin + SETTLE_S, begin + SETTLE_S + seconds

    async def keep_asking(place: int) -> None:
        nonlocal lost
        connection = Connection(port)
        turn = itertools.cycle([*requests[place % len(requests) :], *requests[: place % len(requests)]])
        while (start := time.time()) < last:
            try:
                answer = await asyncio.wait_for(connection.send(next(turn)), _GIVE_UP_S)
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                lost += 1
                continue
            if first <= time.time() < last:
                statuses[str(answer.status)] += 1
                if answer.status == 200:
                    took.append((time.time() - start) * 1e3)
        connection.close()

    await asyncio.gather(*(keep_asking(place) for place in range(connections)))
    return took, dict(statuses), lost


def _join(parts: Sequence[tuple[Any, ...]], seconds: float) -> Load:
    took = sorted(itertools.chain.from_iterable(part[0] for part in parts))
    statuses: Counter[str] = Counter()
    for _, counted, _ in parts:
        statuses.update(counted)

    def quantile(share: float) -> float:
        return took[min(len(took) - 1, int(share * len(took)))] if took else 0.0

    return Load(len(took) / seconds, quantile(0.5), quantile(0.99), dict(statuses), sum(part[2] for part in parts))
