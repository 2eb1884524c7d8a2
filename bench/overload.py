"""python -m bench.overload: many more clients than a slow network can serve. What it can do must still be done.

The service has one core and the clients another. What it does unloaded is measured first; then 200 clients post a photo
of 100 kB each, over a new connection for each try, and try again 50 ms after a refusal. Without --repository a network
of about 6 images/s is made on the spot.

Passes where what completes is at least 95 % of what the CPU of the refusals leaves, a refusal takes at most 0.2 ms of
CPU and 100 ms (median), at most one of a hundred accepted requests ends in 504, memory grows by at most 10 %, and a
request after the storm is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import uvloop
from PIL import Image

from app.client.load.connection import Connection, Request
from app.client.terminal import end_like_ctrl_c
from bench.load.process_tree import parse_stat
from bench.service import read_memory, running, serving, stop
from bench.verdict import print_bounds
from tests.makers.running_server import RunningServer

PAUSE_S = 0.05
"""From a refusal to the next try."""
_SAMPLE_S = 0.05
# Enough that the queue never runs dry, few enough that nobody is refused.
_UNLOADED_CLIENTS = 4
_RECOVERY_S = 30.0


@dataclass(frozen=True)
class Cpu:
    """Seconds so far: of a process's first thread, which has the event loop, and of all its threads."""

    loop_s: float
    all_s: float

    def since(self, before: Cpu) -> Cpu:
        return Cpu(self.loop_s - before.loop_s, self.all_s - before.all_s)


def read_cpu(pid: int) -> Cpu:
    loop, whole = (
        Path("/proc", str(pid), *part, "stat").read_text(encoding="utf-8") for part in (("task", str(pid)), ())
    )
    return Cpu(parse_stat(loop).cpu_s, parse_stat(whole).cpu_s)


@dataclass
class Seen:
    """What clients saw in `seconds`, and what it cost the service."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    refusal_ms: list[float] = field(default_factory=list)
    answer_ms: list[float] = field(default_factory=list)
    without_retry_after: int = 0
    lost: int = 0
    memory_mb: float = 0.0
    """At most."""
    cpu: Cpu = field(default_factory=lambda: Cpu(0.0, 0.0))

    @property
    def rate(self) -> float:
        """Images a second that were answered."""
        return self.statuses[200] / self.seconds

    def record(self, status: int, milliseconds: float, retry_after: bool) -> None:
        self.statuses[status] += 1
        if status == 200:
            self.answer_ms.append(milliseconds)
        elif status == 429:
            self.refusal_ms.append(milliseconds)
            self.without_retry_after += not retry_after


async def attack(port: int, pid: int, request: Request, clients: int, seconds: float, *, anew: bool = True) -> Seen:
    """So many clients at once, each of which asks again as soon as it has its answer, or PAUSE_S after a refusal; over
    a new connection each time, or over one. Who waits for an answer at the end gets it, and is counted.
    """
    seen, start, before = Seen(), time.perf_counter(), read_cpu(pid)

    async def ask() -> None:
        connection = Connection(port)
        while time.perf_counter() < start + seconds:
            began = time.perf_counter()
            try:
                answer = await connection.send(request)
            except (OSError, asyncio.IncompleteReadError):
                seen.lost += 1
                continue
            finally:
                if anew:
                    connection.close()
            seen.record(answer.status, (time.perf_counter() - began) * 1e3, "retry-after" in answer.headers)
            if answer.status != 200:
                await asyncio.sleep(PAUSE_S)
        connection.close()

    async def watch_memory() -> None:
        while True:
            seen.memory_mb = max(seen.memory_mb, read_memory(pid))
            await asyncio.sleep(_SAMPLE_S)

    watching = asyncio.create_task(watch_memory())
    await asyncio.gather(*(ask() for _ in range(clients)))
    watching.cancel()
    seen.seconds, seen.cpu = time.perf_counter() - start, read_cpu(pid).since(before)
    return seen


async def time_recovery(port: int, request: Request) -> float:
    """Seconds from the end of the overload until a request is answered with 200. Raises TimeoutError where none is."""
    connection, start = Connection(port), time.perf_counter()
    async with asyncio.timeout(_RECOVERY_S):
        while (await connection.send(request)).status != 200:
            await asyncio.sleep(PAUSE_S)
    connection.close()
    return time.perf_counter() - start


def make_photo(size: int = 100_000) -> bytes:
    """A JPEG of about `size` bytes, 500x375."""
    noise = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
    photo = Image.fromarray(noise).resize((125, 94)).resize((500, 375), Image.Resampling.BICUBIC)
    mixed = Image.blend(photo, Image.fromarray(noise), 0.15)
    for quality in range(30, 100):
        file = io.BytesIO()
        mixed.save(file, "JPEG", quality=quality)
        if file.tell() >= size:
            break
    return file.getvalue()


@contextmanager
def on_one_core(given: argparse.Namespace) -> Iterator[tuple[RunningServer, str]]:
    """The service on the first core that we have, the clients on the second; and the model's name."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("bench.overload needs two cores: one for the service and one for the clients")
    os.sched_setaffinity(0, cores[:1])
    if given.repository is None:
        service, model = running(slow_layers=given.layers), "tiny"
    else:
        service, model = serving("--repository", str(given.repository)), given.model
    with service as server:
        os.sched_setaffinity(0, cores[1:2])
        yield server, model


@end_like_ctrl_c()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the storm (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=200, help="default: %(default)s")
    parser.add_argument(
        "--layers", type=int, default=130, help="convolutions of the network made on the spot (default: %(default)s)"
    )
    parser.add_argument("--repository", type=Path, help="a repository with another network")
    parser.add_argument("--model", default="inception_v3", help="its name there (default: %(default)s)")
    given = parser.parse_args()
    with on_one_core(given) as (server, model):
        request = Request(f"/predict/{model}", make_photo(), {"Content-Type": "image/jpeg"})
        port, pid = server.port, server.process.pid
        quiet_s = max(1.0, given.seconds / 6)

        def measure_unloaded() -> Seen:
            return uvloop.run(attack(port, pid, request, _UNLOADED_CLIENTS, quiet_s, anew=False))

        measure_unloaded()
        before = measure_unloaded()
        storm = uvloop.run(attack(port, pid, request, given.clients, given.seconds))
        recovery = uvloop.run(time_recovery(port, request))
        after = measure_unloaded()
        status = stop(server)
    return report(before, storm, after, recovery, status)


def report(before: Seen, storm: Seen, after: Seen, recovery: float, status: int) -> int:
    """Print what was seen; 0 where every bound was kept."""
    # The machine's speed may change meanwhile: the reference is the mean of before and after.
    unloaded = (before.rate + after.rate) / 2
    # The event loop's thread does nothing for an image but to move its bytes; that part is what it took unloaded.
    loop_an_image = (before.cpu.loop_s + after.cpu.loop_s) / (before.statuses[200] + after.statuses[200])
    refusing = storm.cpu.loop_s - loop_an_image * storm.statuses[200]
    refused, accepted = storm.statuses[429], storm.statuses.total() - storm.statuses[429]
    cost_ms = refusing / refused * 1e3 if refused else 0.0
    left = unloaded * max(0.0, 1 - refusing / storm.seconds)
    late = storm.statuses[504]
    median = statistics.median(storm.refusal_ms) if storm.refusal_ms else 0.0
    grown = storm.memory_mb / before.memory_mb - 1
    print(f"unloaded       {before.rate:8.2f} images/s, {after.rate:.2f} after the storm")
    print(f"asked          {storm.statuses.total() / storm.seconds:8.1f} times a second for {storm.seconds:.0f} s")
    print(f"completed      {storm.rate:8.2f} images/s, {storm.rate / unloaded:.2f} of unloaded,")
    print(f"               {storm.rate / left:8.2f} of what the refusals' CPU leaves ({left:.2f} images/s)")
    print(f"CPU            {storm.cpu.all_s / storm.seconds:8.1%} of the core, refusals {refusing / storm.seconds:.1%}")
    print(f"refused (429)  {refused:8,} in {median:.1f} ms (median), {cost_ms:.3f} ms of CPU each")
    print(f"accepted       {accepted:8,}, of which {late} in 504; all statuses {dict(storm.statuses)}")
    if storm.answer_ms:
        p50, p99 = statistics.median(storm.answer_ms), sorted(storm.answer_ms)[int(len(storm.answer_ms) * 0.99)]
        print(f"latency of 200 {p50:8.0f} ms (p50), {p99:.0f} ms (p99)")
    print(f"memory         {storm.memory_mb:8.0f} MB at most, {grown:+.1%} over the unloaded service")
    print(f"recovery       {recovery * 1e3:8.0f} ms until the first answer after the storm; exit status {status}")
    kept = {
        "completed >= 0.95 of what the refusals' CPU leaves": storm.rate >= 0.95 * left,
        "0.2 ms of CPU a refusal": 0 < cost_ms <= 0.2,
        "429 within 100 ms (median)": median <= 100,
        "1 of 100 accepted in 504": late <= accepted / 100,
        "memory +10 %": grown <= 0.1,
        "every other answer 429": set(storm.statuses) <= {200, 429, 504},
        "Retry-After on every 429": storm.without_retry_after == 0,
        "no connection lost": storm.lost == 0,
        "exit status 0": status == 0,
    }
    return print_bounds(kept)


if __name__ == "__main__":
    raise SystemExit(main())
