"""Supervisor: several worker processes as one service. Starts, replaces and drains them; what concerns all of them
(load, unload, readiness, metrics) comes here and reaches every one, or none.

Serves no request itself: each worker has its own socket at the same port, among which the kernel spreads
connections, its own event loop and its own sessions.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Any

from app.catalog.repository import Repository
from app.catalog.traffic import Traffic
from app.catalog.watch import hang_up, watch
from app.errors import WorkerFailed
from app.observe.metrics import Snapshot, merge, write_snapshot
from app.settings import Settings, count_cores
from app.workers.channel import Handlers
from app.workers.handle import WorkerHandle, ask_all
from artifact.errors import ArtifactError

log = logging.getLogger(__name__)

# A worker that ends sooner than this after its start may end so again: each time it is waited for longer.
_SOON_S = 10.0
_LONGEST_PAUSE_S = 30.0
# A worker that takes longer to say how it is stands still.
_ANSWER_S = 5.0


class Supervisor:
    """Control over all workers: the same interface that a lone process has over itself."""

    def __init__(self, settings: Settings, port: int, read_aliases: Callable[[], dict[str, str] | None]) -> None:
        count = settings.workers or count_cores()
        self._settings = settings
        self._job = _share(settings, count, port).model_dump(mode="json")
        self._read_aliases = read_aliases
        self._traffic = Traffic(settings.aliases)
        self._workers = [WorkerHandle(number) for number in range(count)]
        self._repository = Repository(settings)
        self._ended: Snapshot = {}  # counts of workers that are no more
        self._restarts = 0
        self._changing = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._hung_up = asyncio.Event()

    async def run(self) -> int:
        """Keep the workers running until SIGTERM or SIGINT, then drain them. The exit status: 0 after a clean end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up.set)
        keeping = [asyncio.create_task(self._keep(worker)) for worker in self._workers]
        keeping.append(asyncio.create_task(self._follow_hangups()))
        self._look_at_all()
        if self._settings.poll_s:
            keeping.append(asyncio.create_task(watch(self._find_changes, self, self._settings.poll_s)))
        await self._stopping.wait()
        statuses = await asyncio.gather(*(worker.drain(self._settings.drain_timeout_s) for worker in self._workers))
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        log.info("stopped")
        return 0 if not any(statuses) else 1

    def _stop(self, number: int) -> None:
        name, patience = signal.Signals(number).name, self._settings.drain_timeout_s
        log.info("%s: stopping, once all workers are done with what they accepted, %d s at most", name, patience)
        self._stopping.set()

    async def load(self, name: str) -> None:
        async with self._changing:
            self._repository.look(name)
            workers = self._reachable()
            failures = await ask_all(workers, "prepare", name=name)
            refusals = [failure for failure in failures if not isinstance(failure, WorkerFailed)]
            if refusals or len(failures) == len(workers):
                await ask_all(workers, "abort", name=name)
                raise (refusals or failures)[0]
            self._repository.take_up(name)
            # A worker that ended meanwhile is replaced by one that loads what is on disk now.
            await ask_all(workers, "commit", name=name)

    async def unload(self, name: str) -> None:
        async with self._changing:
            failures = await ask_all(self._reachable(), "unload", name=name)
            for failure in failures:
                if not isinstance(failure, WorkerFailed):
                    raise failure
            self._repository.leave_alone(name)

    async def forget(self, name: str) -> None:
        async with self._changing:
            self._repository.look(name)
            await ask_all(self._reachable(), "forget", name=name)

    async def explain_unready(self) -> str:
        if self._stopping.is_set():
            return "the server is shutting down"
        for worker in self._workers:
            title = f"worker {worker.number + 1} of {len(self._workers)}"
            if not worker.tried:
                return f"{title} is starting"
            try:
                async with asyncio.timeout(_ANSWER_S):
                    if reason := await worker.ask("explain_unready"):
                        return f"{title}: {reason}"
            except WorkerFailed:
                return f"{title} has ended and is being replaced"
            except TimeoutError:
                return f"{title} doesn't answer"
        return ""

    async def snapshot(self) -> Snapshot:
        workers = self._reachable()
        await asyncio.gather(*(worker.take_snapshot(_ANSWER_S) for worker in workers))
        merged = merge([self._ended, *(worker.last_snapshot or {} for worker in workers)])
        merged["convserve_worker_restarts_total"][()] = [float(self._restarts)]
        merged["convserve_ready"][()] = [float(not await self.explain_unready())]
        return merged

    async def _keep(self, worker: WorkerHandle) -> None:
        """Start the worker, and again whenever it ends unasked."""
        loop, in_vain = asyncio.get_running_loop(), 0
        while not self._stopping.is_set():
            started = loop.time()
            status, counts = await worker.run(self._handlers(worker))
            self._ended = merge([self._ended, counts])
            if self._stopping.is_set():
                return
            self._restarts += 1
            in_vain = in_vain + 1 if loop.time() - started < _SOON_S else 0
            pause = min(_LONGEST_PAUSE_S, 0.5 * 2**in_vain) if in_vain > 1 else 0.0
            log.error("worker %d ended with status %s: replaced in %.1f s", worker.number + 1, status, pause)
            await asyncio.sleep(pause)

    def _handlers(self, worker: WorkerHandle) -> Handlers:
        async def start() -> dict[str, Any]:
            return {
                "settings": self._job,
                "aliases": self._traffic.aliases,
                "unloaded": self._repository.left_alone,
                "replaces": worker.replaces,
            }

        async def tried() -> None:
            if all(other.tried for other in self._workers):
                reason = await self.explain_unready()
                log.info("%d workers: %s", len(self._workers), f"not ready: {reason}" if reason else "all ready")

        async def snapshot() -> Any:
            return write_snapshot(await self.snapshot())

        return {
            "start": start,
            "tried": tried,
            "load": self.load,
            "unload": self.unload,
            "forget": self.forget,
            "explain_unready": self.explain_unready,
            "snapshot": snapshot,
        }

    def _reachable(self) -> list[WorkerHandle]:
        return [worker for worker in self._workers if worker.channel is not None]

    async def _follow_hangups(self) -> None:
        while await self._hung_up.wait():
            self._hung_up.clear()
            aliases = self._read_aliases()
            if aliases is not None:
                await ask_all(self._reachable(), "set_aliases", aliases=aliases)
            await hang_up(aliases, self._traffic, self._find_changes, self)

    def _find_changes(self) -> tuple[list[str], list[str]]:
        return self._repository.find_changes(self._repository.looked_at())

    def _look_at_all(self) -> None:
        """Remember what the repository looks like, as the workers load it now."""
        try:
            names = self._repository.names()
        except ArtifactError:
            return  # the workers say so
        for name in names:
            self._repository.look(name)


def serve_with_workers(settings: Settings, port: int, read_aliases: Callable[[], dict[str, str] | None]) -> int:
    """Run the supervisor; the exit status."""

    async def run() -> int:
        return await Supervisor(settings, port, read_aliases).run()

    return asyncio.run(run())


def _share(settings: Settings, count: int, port: int) -> Settings:
    """The settings of one of `count` workers: an equal part of the cores and of the memory budget."""
    cores = max(1, count_cores() // count)
    return settings.model_copy(
        update={
            "port": port,
            "threads": settings.threads or cores,
            "decode_threads": settings.decode_threads or cores,
            "memory_budget": settings.memory_budget // count,
        }
    )
