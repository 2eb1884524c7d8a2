"""Cancels the work for a request whose client closed the connection, so that its rows leave the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")

# Seconds until the connection is first checked: most answers are there sooner, and checking takes a task.
_PATIENCE_S = 0.01


async def run_while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, after the body was read.

    Raises ClientDisconnect where the client went away first.
    """
    watch = _Watch(request)
    try:
        return await work
    except asyncio.CancelledError:
        watch.take_back()
        raise
    finally:
        watch.end()


class _Watch:
    """Cancels the task that created it once the request's client has disconnected."""

    def __init__(self, request: Request) -> None:
        self._request = request
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[Any] = task
        self._watching: asyncio.Task[None] | None = None
        self._has_gone = False
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE_S, self._begin)

    def take_back(self) -> None:
        """Call it when the task was canceled. Raises ClientDisconnect if the watch did that."""
        if self._has_gone and not self._task.uncancel():
            raise ClientDisconnect

    def end(self) -> None:
        """Stop watching, and drop the references that would form a cycle for the garbage collector."""
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
        del self._timer, self._task, self._watching

    def _begin(self) -> None:
        self._watching = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._has_gone = True
        self._task.cancel()
