"""Requests at a fixed rate, whether answered or not. Latency counts from when a request was due, not from when the
generator got round to it: a server that stands still is charged with everything that had to wait.

The generator is this Python process: where it takes a core by itself, `late` says so.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import numpy as np

from bench.client import Connection, Request
from bench.load.shot import Shot

# Beyond this many requests under way the server is hopelessly behind.
_MOST_UNDER_WAY = 2_000
# Requests that left later than this (ms) after they were due were held up by the generator itself.
_LATE_MS = 5.0


@dataclass(frozen=True)
class OpenResult:
    """`rate` is answers a second; `late` the share of requests that the generator itself sent too late."""

    wanted: float
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    wrong: int
    lost: int
    late: float


async def run_open_loop(shot: Shot, port: int, rate: float, seconds: float) -> OpenResult:
    request = Request(shot.path, shot.body_file.read_bytes(), {"Content-Type": shot.content_type})
    expected = shot.expected.encode()
    idle: list[Connection] = []
    under_way: set[asyncio.Task[None]] = set()
    latencies: list[float] = []
    wrong = lost = late = 0

    async def send(due: float) -> None:
        nonlocal wrong, lost, late
        late += time.perf_counter() - due > _LATE_MS / 1e3
        connection = idle.pop() if idle else Connection(port)
        try:
            answer = await connection.send(request)
        except (OSError, asyncio.IncompleteReadError):
            lost += 1
            return
        latencies.append(time.perf_counter() - due)
        wrong += answer.status != 200 or expected not in answer.body
        idle.append(connection)

    start, sent, wanted = time.perf_counter(), 0, round(rate * seconds)
    while sent < wanted:
        due_now = min(wanted, int((time.perf_counter() - start) * rate) + 1)
        while sent < due_now:
            if len(under_way) >= _MOST_UNDER_WAY:
                lost += 1
            else:
                task = asyncio.create_task(send(start + sent / rate))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            sent += 1
        await asyncio.sleep(max(0.0, start + sent / rate - time.perf_counter()))
    if under_way:
        await asyncio.wait(under_way)
    spent = time.perf_counter() - start
    for connection in idle:
        connection.close()
    p50, p95, p99 = np.percentile(np.array(latencies or [float("nan")]) * 1e3, (50, 95, 99)).tolist()
    return OpenResult(rate, len(latencies) / spent, p50, p95, p99, wrong, lost, late / max(1, wanted))
