"""Supervisor: several worker processes as one service. Starts, replaces and drains them; what concerns all of them
(load, unload, readiness, metrics) comes here and reaches every one, or none.

Serves no request itself: each worker has its own socket at the same port, among which the kernel spreads
connections, its own event loop and its own sessions.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from dataclasses import asdict
from tempfile import TemporaryFile
from typing import IO, Any

from app.aliases import Meaning, Shadow, read_shadow, read_target
from app.catalog.background import Background
from app.catalog.control import ReadAgain, hang_up
from app.catalog.traffic.changes import TrafficChanges
from app.catalog.traffic.guards import EVERY_S, Guards
from app.catalog.traffic.traffic import Traffic
from app.catalog.watch import Watcher
from app.errors import WorkerFailed
from app.machine import count_cores
from app.observe.metrics import Metrics, Snapshot, merge, write_snapshot
from app.settings import Settings
from app.workers.all_workers import AllWorkers
from app.workers.channel import Handlers, read_image, write_image
from app.workers.count import Decision, Machine, Report, decide, make_worker_settings
from app.workers.handle import CANT_SERVE, WorkerHandle, ask_all, ask_each, reachable
from app.workers.restarts import Restarts

log = logging.getLogger(__name__)

# Seconds. A worker that takes longer to answer counts as hanging.
_ANSWER_S = 5.0


class Supervisor:
    """Control over all workers, with the interface that a single process has over itself (app.catalog.control)."""

    def __init__(self, settings: Settings, port: int, read_again: ReadAgain) -> None:
        self._is_auto = settings.workers == "auto"
        self._decision: Decision | None = None  # with auto, once the first worker has reported
        self._settings = settings
        self._port = port
        self._read_again = read_again
        self._traffic = Traffic(settings.aliases, settings.shadows)
        self._changes = TrafficChanges(self._traffic, settings.state_file, self._tell_traffic)
        count = 1 if settings.workers == "auto" else settings.workers or count_cores()
        self._workers = [WorkerHandle(number) for number in range(count)]
        self._metrics = Metrics()  # of what no worker does
        self._guards = Guards(self._changes, self.snapshot, self._metrics)
        self._watcher = Watcher(settings, AllWorkers(self._workers, self._advise))
        self._background = Background()
        self._ended: Snapshot = {}  # counts of workers that are no more
        self._restarts = 0
        self._stopping = asyncio.Event()
        self._hung_up = asyncio.Event()
        self._hopeless = False
        self._rates_file: IO[bytes]  # while the workers run: app.batching.rate

    async def run(self) -> int:
        """Keep the workers running until SIGTERM or SIGINT, then drain them. The exit status: 0 after a clean end."""
        with TemporaryFile() as self._rates_file:
            return await self._run()

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up.set)
        await self._watcher.begin()
        for worker in self._workers:
            self._employ(worker)
        self._background.repeat("what SIGHUP asks for", self._follow_hangup)
        self._background.repeat("watching the repository", self._watcher.watch)
        self._background.repeat("guarding aliases", self._guards.look, EVERY_S)
        await self._stopping.wait()
        statuses = await asyncio.gather(*(worker.drain(self._settings.drain_timeout_s) for worker in self._workers))
        await self._background.close()
        await self._watcher.close()
        log.info("stopped")
        return 1 if any(statuses) or self._hopeless else 0

    def _stop(self, number: int) -> None:
        name, patience = signal.Signals(number).name, self._settings.drain_timeout_s
        log.info("%s: stopping, once all accepted requests are answered, %d s at most", name, patience)
        self._stopping.set()

    async def load(self, name: str) -> None:
        await self._watcher.load(name)

    async def unload(self, name: str) -> None:
        await self._watcher.unload(name)

    async def set_alias(self, name: str, target: Meaning | None) -> bool:
        return await self._changes.set_alias(name, target)

    async def set_shadow(self, name: str, shadow: Shadow | None) -> bool:
        return await self._changes.set_shadow(name, shadow)

    async def list_disagreements(self, shadow: str) -> list[dict[str, Any]]:
        found = await ask_each(reachable(self._workers), _ANSWER_S, "list_disagreements", shadow=shadow)
        return sorted((entry for entries in found for entry in entries), key=lambda entry: -entry["at"])

    async def find_image(self, shadow: str, disagreement: str) -> bytes | None:
        known = {"shadow": shadow, "disagreement": disagreement}
        found = await ask_each(reachable(self._workers), _ANSWER_S, "find_image", **known)
        return next((read_image(image) for image in found if image is not None), None)

    async def explain_unready(self) -> str:
        if self._stopping.is_set():
            return "the server is shutting down"
        if self._is_auto and self._decision is None:
            return "models are loading"
        for worker in self._workers:
            title = f"worker {worker.number + 1} of {len(self._workers)}"
            if not worker.tried:
                return f"{title} is starting"
            try:
                async with asyncio.timeout(_ANSWER_S):
                    if reason := await worker.ask("explain_unready"):
                        return f"{title}: {reason}" if len(self._workers) > 1 else reason
            except WorkerFailed:
                return f"{title} has ended and is being replaced"
            except TimeoutError:
                return f"{title} doesn't answer"
        return ""

    async def snapshot(self) -> Snapshot:
        workers = reachable(self._workers)
        await asyncio.gather(*(worker.take_snapshot(_ANSWER_S) for worker in workers))
        merged = merge([self._ended, self._metrics.snapshot(), *(worker.last_snapshot or {} for worker in workers)])
        merged["convserve_worker_restarts_total"][()] = [float(self._restarts)]
        merged["convserve_ready"][()] = [float(not await self.explain_unready())]
        return merged

    def _employ(self, worker: WorkerHandle) -> None:
        self._background.start(f"keeping worker {worker.number + 1}", self._keep(worker))

    async def _keep(self, worker: WorkerHandle) -> None:
        """Start the worker, and again whenever it ends unasked or can't be started."""
        loop, restarts = asyncio.get_running_loop(), Restarts()
        while not self._stopping.is_set():
            started = loop.time()
            try:
                status, counts = await worker.run(self._handlers(worker), self._rates_file.fileno())
            except OSError as error:  # no process, no descriptor, no memory for it now
                why = f"can't be started: {error}"
            else:
                why = f"ended with status {status}"
                self._ended = merge([self._ended, counts])
                if status == CANT_SERVE:
                    self._hopeless = True
                    self._stopping.set()
            if self._stopping.is_set():
                return
            self._restarts += 1
            pause = restarts.find_pause(loop.time() - started)
            log.error("worker %d %s: replaced in %.1f s", worker.number + 1, why, pause)
            await asyncio.sleep(pause)

    def _handlers(self, worker: WorkerHandle) -> Handlers:
        async def start() -> dict[str, Any]:
            return {
                "settings": self._make_settings(worker),
                "traffic": self._traffic.write(),
                "looks": [asdict(look) for look in self._watcher.looks],
                "unloaded": sorted(self._watcher.unloaded),
                "problem": self._watcher.problem,
                "replaces": worker.replaces,
                "rates_file": self._rates_file.fileno(),
            }

        async def tried(report: dict[str, Any]) -> None:
            if self._is_auto and self._decision is None and not self._stopping.is_set():
                await self._settle(Report.read(report))
            if all(other.tried for other in self._workers):
                reason = await self.explain_unready()
                title, ready = ("", "ready") if self._is_auto else (f"{len(self._workers)} workers: ", "all ready")
                log.info("%s%s", title, f"not ready: {reason}" if reason else ready)

        async def set_alias(name: str, target: Any) -> bool:
            return await self.set_alias(name, None if target is None else read_target(target))

        async def set_shadow(name: str, shadow: Any) -> bool:
            return await self.set_shadow(name, None if shadow is None else read_shadow(shadow))

        async def find_image(shadow: str, disagreement: str) -> str | None:
            return write_image(await self.find_image(shadow, disagreement))

        async def snapshot() -> Any:
            return write_snapshot(await self.snapshot())

        return {
            "start": start,
            "tried": tried,
            "load": self.load,
            "unload": self.unload,
            "set_alias": set_alias,
            "set_shadow": set_shadow,
            "list_disagreements": self.list_disagreements,
            "find_image": find_image,
            "explain_unready": self.explain_unready,
            "snapshot": snapshot,
        }

    def _make_settings(self, worker: WorkerHandle) -> dict[str, Any]:
        made = make_worker_settings(self._settings, len(self._workers), worker.number, self._port)
        return made.model_dump(mode="json")

    async def _settle(self, report: Report) -> None:
        """Decide on the number of workers by what the first one measured, and start the others."""
        first = self._workers[0]
        self._decision = decide(report, Machine.of(self._settings), self._settings.device)
        log.info("%s", self._decision)
        others = [WorkerHandle(number) for number in range(1, self._decision.workers)]
        self._workers += others
        with suppress(WorkerFailed):  # one that ended is replaced, and then told
            await first.ask("use_settings", settings=self._make_settings(first))
        for worker in others:
            worker.replaces = True
            self._employ(worker)

    async def _advise(self) -> None:
        """Log what a restart would gain, where the models that are now loaded would have another number of workers."""
        if self._decision is None:
            return
        with suppress(WorkerFailed):
            report = Report.read(await self._workers[0].ask("report"))
            better = decide(report, Machine.of(self._settings), self._settings.device)
            if better.workers != len(self._workers) and better.workers != self._decision.workers:
                log.info("a restart would start %s", better)
            self._decision = better

    async def _follow_hangup(self) -> None:
        await self._hung_up.wait()
        self._hung_up.clear()
        await hang_up(self._read_again, self._changes, self._watcher)

    async def _tell_traffic(self) -> None:
        await ask_all(reachable(self._workers), "set_traffic", traffic=self._traffic.write())


def serve_with_workers(settings: Settings, port: int, read_again: ReadAgain) -> int:
    """Run the supervisor until it ends; returns the exit status."""

    async def run() -> int:
        return await Supervisor(settings, port, read_again).run()

    return asyncio.run(run())
