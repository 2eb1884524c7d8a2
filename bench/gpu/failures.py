"""Piece f: out of memory and a lost device, provoked: 503, then loaded again; and memory over many reloads."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from app.client.load.connection import Connection, Request
from app.inference.memory import measure_memory
from app.inference.model import prepare_session
from app.settings import Settings
from bench.gpu.driver import Driver
from bench.gpu.pictures import golden_files
from bench.gpu.plan import Opened, Plan, Step
from bench.gpu.served import flags_of, image_requests
from bench.gpu.server import Server, serving

# The first loads bring what stays: the context, cuDNN's plans, the heap's high water mark.
SETTLED = 10
_LONGEST_S = 420.0


def steps(plan: Plan) -> Iterator[Step]:
    name = plan.served[0]
    yield "reloads", lambda: reload_often(plan, name)
    if plan.device.is_cuda:
        yield "out of memory", lambda: fill_memory(plan, name, Driver(plan.device.index))
        yield "lost device", lambda: lose_device(plan, name)


def reload_often(plan: Plan, name: str) -> dict[str, Any]:
    """Load, warm, replay and drop a model over and over. Gives the device memory in use after each load, in MB by the
    driver's count, and how much it grew once it had settled.
    """
    opened = plan.open(name)
    settings = Settings(device=plan.device.name)
    used: list[float] = []
    start = time.monotonic()
    while len(used) < plan.reloads and time.monotonic() - start < _LONGEST_S:
        prepare_session(opened.folder, settings, plan.onnx)
        gc.collect()
        used.append(measure_memory(plan.device) / 1e6)
    settled = used[min(SETTLED, len(used) - 1)]
    return {"model": name, "reloads": len(used), "growth_mb": used[-1] - settled, "mb": used}


def fill_memory(plan: Plan, name: str, driver: Driver) -> dict[str, Any]:
    """While the card is full, a request that needs a buffer of its own (the features of /explain); then it is freed."""
    opened = plan.open(name)
    image = golden_files(opened)[0]
    explain = Request(f"/explain/{name}", image, {"Content-Type": "application/octet-stream"})
    with serving(*flags_of(plan, name)) as server:
        taken = driver.fill_memory()
        try:
            statuses = [ask(server, explain)]
        finally:
            driver.free_memory()
        return {"taken_mb": taken / 1e6, "full": statuses, **_watch(server, opened, plan.patience_s)}


def lose_device(plan: Plan, name: str) -> dict[str, Any]:
    """A kernel faults in the server's process; what it answers then, and whether a new process finds the card well."""
    opened = plan.open(name)
    module = ("bench.gpu.doomed_server", str(plan.device.index))
    with serving(*flags_of(plan, name), module=module) as server:
        before = ask(server, image_requests(opened)[0])
        server.process.send_signal(signal.SIGUSR2)
        found = _watch(server, opened, plan.patience_s / 3, until=lambda statuses: False)
        said = [line.strip() for line in server.lines if "lost the device" in line]
        ended = server.process.poll()
    with serving(*flags_of(plan, name)) as server:
        after = ask(server, image_requests(opened)[0])
    return {"before": before, "said": said, "exit": ended, **found, "in_a_new_process": after}


def _watch(
    server: Server,
    opened: Opened,
    patience_s: float,
    until: Callable[[list[int]], bool] = lambda statuses: statuses[-1] == 200,
) -> dict[str, Any]:
    """Ask twice a second until it is well again or patience ends: the statuses one after another, and the seconds."""
    statuses: list[int] = []
    start = time.monotonic()
    while time.monotonic() - start < patience_s:
        statuses.append(ask(server, image_requests(opened)[0]))
        if until(statuses):
            break
        time.sleep(0.5)
    return {"statuses": statuses, "well_after_s": time.monotonic() - start if statuses[-1] == 200 else None}


def ask(server: Server, request: Request) -> int:
    """The status of an answer; 0 where the connection broke."""

    async def once() -> int:
        connection = Connection(server.port)
        try:
            return (await connection.send(request)).status
        finally:
            connection.close()

    try:
        return asyncio.run(asyncio.wait_for(once(), 30))
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        return 0
