"""Background: loading and draining that nobody waits for. Whatever goes wrong there is logged, never lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

from app.catalog.loading import Version
from app.inference.model import LoadedModel

log = logging.getLogger(__name__)


class Background:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.draining: list[LoadedModel] = []
        """Models that no request gets any more, and that hold memory until the last accepted row is answered."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` from now on."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def retire(self, versions: Iterable[Version]) -> None:
        """Drain the models of these versions."""
        for model in [version.model for version in versions if version.model is not None]:
            self.draining.append(model)
            self.spawn(self._drain(model))

    async def wait_until_settled(self) -> None:
        """Wait until nothing is being done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """End what is being done where it stands."""
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            with suppress(asyncio.CancelledError):
                await task

    async def _drain(self, model: LoadedModel) -> None:
        await model.close()
        self.draining.remove(model)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work in the background failed", exc_info=error)
