"""WorkerHandle: one worker, as the supervisor sees it: its process, which is replaced when it ends, and calls to it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from app.child_process import find_ourselves, name_module
from app.errors import WorkerFailed
from app.observe.metrics import Snapshot, keep_counts, read_snapshot
from app.workers.channel import Channel, Handlers, open_channel
from artifact.errors import ConvserveError

log = logging.getLogger(__name__)

CANT_SERVE = 78
"""The exit status (sysexits.h: configuration) of a worker that can't serve, however often it is started."""

# Seconds that a worker's drain may take beyond its timeout before it is killed.
_PATIENCE_S = 10.0


class WorkerHandle:
    """Worker `number`, from 0. Its `channel` is there once the process has asked for its settings, until it ends."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: Process | None = None
        self.channel: Channel | None = None
        self.replaces = False
        """Whether others serve already: then it takes connections only once it is ready."""
        self.tried = False
        """Whether it has tried every model."""
        self.last_snapshot: Snapshot | None = None
        """What it had counted when it was last asked."""

    async def run(self, handlers: Handlers, *files: int) -> tuple[int, Snapshot]:
        """Start a process, which also gets the file descriptors `files`, and wait for its end. Returns its exit status,
        and what it is known to have counted. `handlers` answer its calls: the first is `start`; `tried` comes, with its
        report, once it has tried every model. Raises OSError where no process can be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self.process = await asyncio.create_subprocess_exec(
                    *name_module("app.workers.worker", str(theirs.fileno())),
                    env=find_ourselves(os.environ),
                    pass_fds=[theirs.fileno(), *files],
                    start_new_session=True,  # Ctrl-C at the terminal reaches the supervisor alone
                )
            except OSError:
                ours.close()
                raise

        async def start() -> Any:
            self.channel = channel
            return await handlers["start"]()

        async def tried(report: dict[str, Any]) -> Any:
            self.tried = True
            return await handlers["tried"](report)

        channel = await open_channel(ours, {**handlers, "start": start, "tried": tried})
        await channel.run()  # ends with the process
        counted, self.last_snapshot = self.last_snapshot, None
        self.channel, self.tried, self.replaces = None, False, True
        return await self.process.wait(), keep_counts(counted or {})

    async def take_snapshot(self, patience_s: float) -> None:
        """Ask, for at most `patience_s` seconds, what it has counted. Where it has ended or hangs the last answer
        stays: counts never go back.
        """
        with suppress(WorkerFailed, TimeoutError):
            async with asyncio.timeout(patience_s):
                self.last_snapshot = read_snapshot(await self.ask("snapshot"))

    async def ask(self, method: str, **arguments: Any) -> Any:
        """Call `method` of the worker and return its result. Raises as `Channel.call` does, WorkerFailed where it has
        ended.
        """
        if self.channel is None:
            raise WorkerFailed("the worker has ended: try again")
        return await self.channel.call(method, **arguments)

    async def drain(self, timeout_s: float) -> int:
        """Tell it to finish what it accepted, within `timeout_s` seconds, and wait for its end; returns its exit
        status.
        """
        if self.process is None:
            return 0
        try:
            self.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(timeout_s + _PATIENCE_S):
                status = await self.process.wait()
                return 0 if status == -signal.SIGTERM else status  # it had not yet begun to serve
        except ProcessLookupError:
            return 0  # it was just being replaced
        except TimeoutError:
            log.error("worker %d didn't finish in time and is killed", self.number + 1)
            self.process.kill()
            return await self.process.wait()


async def ask_all(workers: Iterable[WorkerHandle], method: str, **arguments: Any) -> list[ConvserveError]:
    """Call `method` of every worker; returns the errors of those that failed."""
    answers = await asyncio.gather(*(worker.ask(method, **arguments) for worker in workers), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, ConvserveError):
            raise answer
    return [answer for answer in answers if isinstance(answer, ConvserveError)]


async def ask_each(workers: Iterable[WorkerHandle], patience_s: float, method: str, **arguments: Any) -> list[Any]:
    """Call `method` of every worker; returns the answers that came within `patience_s` seconds."""
    asked = (asyncio.wait_for(worker.ask(method, **arguments), patience_s) for worker in workers)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, WorkerFailed | TimeoutError):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]


def reachable(workers: Iterable[WorkerHandle]) -> list[WorkerHandle]:
    """The workers that have a process that answers."""
    return [worker for worker in workers if worker.channel is not None]
