"""Work that ends with its client: a request whose connection closed is canceled, so that its rows leave the
queue.
"""

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
    """Cancels the task that makes it once the client of its request has gone."""

    def __init__(self, request: Request) -> None:
        self._request = request
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[Any] = task
        self._watching: asyncio.Task[None] | None = None
        self._has_gone = False
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE_S, self._begin)

    def take_back(self) -> None:
        """The task was canceled. Raises ClientDisconnect where that was for its client, as asyncio.timeout does."""
        if self._has_gone and not self._task.uncancel():
            raise ClientDisconnect

    def end(self) -> None:
        """Nothing of it refers to itself any more: no cycle is left for the garbage collector."""
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
