"""Trials: one setting at one rate each, against a service of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from app.client.load.connection import Answer, Connection, Request
from app.client.load.open_loop import OpenResult, run_open_loop
from app.client.tune.service import Service, ServiceFailed
from app.client.tune.setting import Setting

T = TypeVar("T")

# Images that are asked for one after another, once a service has started: at least and at most, by count or seconds.
_LONE_LEAST, _LONE_MOST, _LONE_S = 3, 30, 1.0
# After a trial the service counts as idle again when an image takes at most this many times what it takes alone.
_IDLE, _IDLE_S = 3.0, 15.0


@dataclass(frozen=True)
class Trial:
    """What `seconds` at a rate came to. `generator_cores` is the CPU that the load itself took, in cores."""

    setting: Setting
    seconds: float
    result: OpenResult
    holds: bool
    generator_cores: float

    @property
    def rate(self) -> float:
        return self.result.target_rate

    def __str__(self) -> str:
        """What became of it, for one line of progress."""
        result = self.result
        failed = f", {result.failed:,} failed" if result.failed else ""
        p99 = f"p99 {result.p99_ms:.1f} ms" if isfinite(result.p99_ms) else "no p99"
        early = ", ended early" if result.ended_early else ""
        late = f", {result.sent_late:.0%} sent late by the load generator itself" if result.sent_late > 0.01 else ""
        return f"{self.rate:,.1f} requests/s: {p99}{early}{failed}{late}: {'held' if self.holds else 'not held'}"


@dataclass(frozen=True)
class Facts:
    """What a service says of itself, and the milliseconds of an image that has it to itself."""

    workers: int
    on_gpu: bool
    batch_size: int
    """Rows from which on batches gain nothing."""
    lone_ms: float


class Trials:
    """Starts a service for each setting and keeps it until another is asked for. End it with `close`."""

    def __init__(
        self, write_toml: Callable[[Setting], str], images: Sequence[bytes], p99_ms: float, folder: Path, cache: Path
    ) -> None:
        self._write_toml, self._images, self._p99_ms = write_toml, images, p99_ms
        self._folder, self._cache = folder, cache
        self._running: tuple[Setting, Service, Facts] | None = None
        self._rushed = False

    def start(self, setting: Setting) -> Facts:
        """Have a service with this setting; of workers = auto, as many as it has found out. Raises ServiceFailed."""
        if self._running is None or self._running[0] != setting:
            self.close()
            service = Service(self._write_toml(setting), setting.model, self._folder, self._cache)
            try:
                facts = self._ask(setting, service)
            except BaseException:
                service.stop()
                raise
            self._running = replace(setting, workers=facts.workers), service, facts
        return self._running[2]

    def measure(self, setting: Setting, rate: float, seconds: float, seed: int = 0) -> Trial:
        """One trial, which ends early where the p99 can't be kept any more. Raises ServiceFailed."""
        facts = self.start(setting)
        assert self._running is not None
        _, service, _ = self._running
        service.check()
        port, requests = service.port, self._requests(setting)
        if self._rushed:
            _run(_wait_until_idle(port, requests[0], facts.lone_ms))
        began, cpu = time.perf_counter(), time.process_time()
        result = _run(run_open_loop(requests, port, rate, seconds, is_right=_is_right, seed=seed, p99_ms=self._p99_ms))
        cores = (time.process_time() - cpu) / (time.perf_counter() - began)
        holds = result.keeps(self._p99_ms)
        self._rushed = not holds
        return Trial(setting, seconds, result, holds, cores)

    def close(self) -> None:
        """Leave no service behind."""
        if self._running is not None:
            self._running[1].stop()
        self._running, self._rushed = None, False

    def _ask(self, setting: Setting, service: Service) -> Facts:
        version = service.describe()
        return Facts(
            workers=service.count_workers(),
            on_gpu=version["device"].startswith("cuda"),
            batch_size=version["batch_size"],
            lone_ms=_run(_time_lone(service.port, self._requests(setting))),
        )

    def _requests(self, setting: Setting) -> list[Request]:
        return [Request(f"/predict/{setting.model}", image, {}) for image in self._images]


def _run(work: Coroutine[Any, Any, T]) -> T:
    """By uvloop where it is there: the load generator takes cores from the service."""
    factory = None
    with suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


def _is_right(answer: Answer) -> bool:
    return answer.status == 200


async def _time_lone(port: int, requests: Sequence[Request]) -> float:
    """Median milliseconds of requests one after another, each image once at least. Raises ServiceFailed."""
    connection, took, began = Connection(port), list[float](), time.perf_counter()
    least = max(_LONE_LEAST, len(requests))
    while len(took) < least or (len(took) < _LONE_MOST and time.perf_counter() < began + _LONE_S):
        took.append(await _time(connection, requests[len(took) % len(requests)]))
    await connection.end()
    return median(took)


async def _wait_until_idle(port: int, request: Request, lone_ms: float) -> None:
    """Until what a rush has left behind is done, but not for ever."""
    connection, deadline = Connection(port), time.perf_counter() + _IDLE_S
    while time.perf_counter() < deadline:
        with suppress(ServiceFailed):  # its queue may still be full
            if await _time(connection, request) <= _IDLE * lone_ms:
                break
        await asyncio.sleep(lone_ms / 1e3)
    await connection.end()


async def _time(connection: Connection, request: Request) -> float:
    """Milliseconds until a right answer."""
    began = time.perf_counter()
    try:
        answer = await connection.send(request)
    except (OSError, asyncio.IncompleteReadError) as error:
        raise ServiceFailed(f"the connection broke: {error}") from error
    if not _is_right(answer):
        await connection.end()
        said = json.loads(answer.body).get("detail", "") if answer.body[:1] == b"{" else ""
        raise ServiceFailed(f"an image is answered with status {answer.status}: {said}")
    return (time.perf_counter() - began) * 1e3
