"""Background: tasks that nobody awaits, each watched: what one raises is logged, and what repeats goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Background:
    """The background tasks of one owner, from their start to `close`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, what: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` once. `what` names it in the log where it fails."""

        def finish(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("%s failed", what, exc_info=error)

        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(finish)
        return task

    def repeat(self, what: str, step: Callable[[], Awaitable[None]], pause_s: float = 0.0) -> asyncio.Task[None]:
        """Run `step` again and again, `pause_s` seconds after the last one ended. What it raises is logged once, until
        it raises something else or succeeds, and it is tried again.
        """

        async def go_on() -> None:
            said = ""
            while True:
                try:
                    await step()
                    said = ""
                except Exception as error:  # whatever it was: what watches must not end
                    if said != (said := repr(error)):
                        log.exception("%s failed and is tried again", what)
                    await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
                await asyncio.sleep(pause_s)

        return self.start(what, go_on())

    async def settle(self) -> None:
        """Wait until no task is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Cancel every task and wait for its end."""
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# A step that fails at once would otherwise fail thousands of times a second.
_PAUSE_AFTER_FAILURE_S = 0.5
