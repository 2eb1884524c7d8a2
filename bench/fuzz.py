"""python -m bench.fuzz --cases 10000: mutated requests, seeded; every answer must be 200, or a problem with status 4xx,
503 or 504.

Afterwards sound requests must still be answered with 200, and the memory must be within 10 % of what it was after
the first half, which fills what is loaded or cached once (decoders of other formats, request heads). The slowest answer
is shown: work that no limit bounds would be seen there first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from random import Random

from app.client.load.connection import Answer, Connection, Request
from app.client.terminal import end_like_ctrl_c
from bench.mutations import mutate, sound_requests
from bench.service import read_memory, running, stop

_CONNECTIONS = 8
_MOST_GROWTH = 1.10


def find_fault(answer: Answer) -> str:
    """What is wrong with an answer to a mutated request; empty where nothing is."""
    if (answer.status < 400 and answer.status != 200) or (answer.status >= 500 and answer.status not in (503, 504)):
        return f"status {answer.status}"
    if answer.status >= 400:
        if answer.headers.get("content-type") != "application/problem+json":
            return f"status {answer.status} as {answer.headers.get('content-type')}"
        if json.loads(answer.body)["status"] != answer.status:
            return "a problem with another status than its answer"
    if "x-request-id" not in answer.headers:
        return "no X-Request-ID"
    return ""


async def fuzz(port: int, cases: int, seed: int) -> tuple[Counter[int], list[str], tuple[float, str]]:
    """Send `cases` mutated requests; statuses, what was wrong, and the slowest: its seconds and what it was."""
    random, sound = Random(seed), sound_requests()
    requests = iter([mutate(sound, random) for _ in range(cases)])
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    times: list[tuple[float, str]] = []

    async def send() -> None:
        connection = Connection(port)
        for request in requests:
            start = time.perf_counter()
            try:
                answer = await connection.send(request)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                faults.append(f"{type(error).__name__}: {_show(request)}")
                continue
            times.append((time.perf_counter() - start, _show(request)))
            statuses[answer.status] += 1
            if fault := find_fault(answer):
                faults.append(f"{fault}: {_show(request)}")
            if statuses.total() % 500 == 0:
                print(f"\r{statuses.total():,} of {cases:,}", end="", file=sys.stderr, flush=True)
        connection.close()

    await asyncio.gather(*(send() for _ in range(_CONNECTIONS)))
    print(file=sys.stderr)
    return statuses, faults, max(times)


async def check_sound(port: int, times: int) -> list[str]:
    """Send what must be answered with 200."""
    connection = Connection(port)
    faults = []
    for _ in range(times):
        for request in sound_requests():
            if (answer := await connection.send(request)).status != 200:
                faults.append(f"{answer.status} to a sound request: {_show(request)}: {answer.body[:200]!r}")
    connection.close()
    return faults


def _show(request: Request) -> str:
    return f"{request.path} {request.headers} {len(request.body)} bytes {request.body[:60]!r}"


@end_like_ctrl_c()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    given = parser.parse_args()
    with running("--workers", "1") as server:  # one process, whose memory is the service's
        faults = asyncio.run(check_sound(server.port, 20))
        half = given.cases // 2
        statuses, found, slowest = asyncio.run(fuzz(server.port, half, given.seed))
        before = read_memory(server.process.pid)
        more, found_then, slowest_then = asyncio.run(fuzz(server.port, given.cases - half, given.seed + 1))
        faults += found + found_then + asyncio.run(check_sound(server.port, 1))
        after = read_memory(server.process.pid)
        status = stop(server)
    print("statuses: " + ", ".join(f"{count:,} x {status}" for status, count in sorted((statuses + more).items())))
    print("slowest: {:.2f} s for {}".format(*max(slowest, slowest_then)))
    growth = f"{before:.0f} MB after one half, {after:.0f} MB after the other ({after / before - 1:+.1%})"
    print(f"memory: {growth}; exit status {status}")
    if after > before * _MOST_GROWTH:
        faults.append(f"memory grew by {after / before - 1:.1%}")
    for fault in faults[:20]:
        print(f"FAULT {fault}")
    print("passed" if not faults and status == 0 else f"failed: {len(faults)} faults")
    return 0 if not faults and status == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
