"""AllWorkers: the catalogs of all workers as one. A load is followed by all of them or by none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict

from app.catalog.repository import Look
from app.errors import WorkerFailed
from app.workers.handle import WorkerHandle, ask_all, reachable


class AllWorkers:
    """Implements app.catalog.watch.Served for all workers that can be reached."""

    def __init__(self, workers: Sequence[WorkerHandle], on_load: Callable[[], Awaitable[None]]) -> None:
        """`on_load` is called after each load that the workers followed."""
        self._workers = workers
        self._on_load = on_load

    async def load(self, look: Look) -> None:
        workers = reachable(self._workers)
        failures = await ask_all(workers, "prepare", look=asdict(look))
        refusals = [failure for failure in failures if not isinstance(failure, WorkerFailed)]
        if refusals or len(failures) == len(workers):
            await ask_all(workers, "abort", name=look.name)
            raise (refusals or failures)[0]
        # A worker that ended meanwhile is replaced by one that loads what is on disk now.
        await ask_all(workers, "commit", name=look.name)
        await self._on_load()

    async def note(self, look: Look) -> None:
        await ask_all(reachable(self._workers), "note", look=asdict(look))

    async def unload(self, name: str) -> None:
        for failure in await ask_all(reachable(self._workers), "unload", name=name):
            if not isinstance(failure, WorkerFailed):
                raise failure

    async def forget(self, name: str) -> None:
        await ask_all(reachable(self._workers), "forget", name=name)
