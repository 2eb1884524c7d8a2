"""Channel: calls in both directions between the supervisor and one worker, as lines of JSON over a socket."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from app.errors import (
    AliasOfSettings,
    Draining,
    LoadRefused,
    ShadowOfSettings,
    StateNotWritten,
    UnknownAlias,
    UnknownModel,
    UnknownShadow,
    WorkerFailed,
)
from artifact.errors import ConvserveError

log = logging.getLogger(__name__)

Handlers = Mapping[str, Callable[..., Awaitable[Any]]]

# What a call may raise at the other end and comes back as itself; anything else is a WorkerFailed.
_ERRORS: dict[str, type[ConvserveError]] = {
    error.code: error
    for error in (
        *(UnknownModel, UnknownAlias, UnknownShadow, LoadRefused, AliasOfSettings, ShadowOfSettings),
        *(Draining, StateNotWritten),
    )
}
_LONGEST_LINE = 1 << 28


class Channel:
    """One end of it. `run` serves the calls of the other end until that goes away; then every open call raises
    WorkerFailed.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handlers: Handlers) -> None:
        self._reader = reader
        self._writer = writer
        self._handlers = handlers
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._gone = False

    async def call(self, method: str, **arguments: Any) -> Any:
        """Call `method` at the other end; returns its result, anything that JSON holds. Raises one of the errors above
        where the method did, otherwise WorkerFailed.
        """
        if self._gone:
            raise WorkerFailed("the worker that was asked has ended: try again")
        number = next(self._numbers)
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        self._write({"call": number, "method": method, "arguments": arguments})
        try:
            return await answer
        finally:
            self._open.pop(number, None)

    async def run(self) -> None:
        """Serve until the other end closes."""
        try:
            while line := await self._reader.readline():
                message = json.loads(line)
                if "call" in message:
                    task = asyncio.create_task(self._answer(message))
                    self._answering.add(task)
                    task.add_done_callback(self._answering.discard)
                else:
                    self._settle(message)
        except ConnectionError:
            pass  # it was killed
        finally:
            self.close()

    def close(self) -> None:
        """End every open call and the connection."""
        self._gone = True
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(WorkerFailed("the worker that was asked has ended: try again"))
        self._writer.close()

    async def _answer(self, message: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"answer": message["call"]}
        try:
            reply["result"] = await self._handlers[message["method"]](**message["arguments"])
        except ConvserveError as error:
            reply |= {"code": error.code, "detail": error.detail}
        except Exception as error:
            log.exception("%s failed", message["method"])
            reply |= {"code": WorkerFailed.code, "detail": f"{message['method']} failed ({type(error).__name__})"}
        if not self._gone:
            self._write(reply)

    def _settle(self, message: dict[str, Any]) -> None:
        answer = self._open.get(message["answer"])
        if answer is None or answer.done():
            return
        if "code" in message:
            answer.set_exception(_ERRORS.get(message["code"], WorkerFailed)(message["detail"]))
        else:
            answer.set_result(message["result"])

    def _write(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")


def write_image(image: bytes | None) -> str | None:
    """An image file as JSON holds it."""
    return None if image is None else base64.b64encode(image).decode()


def read_image(written: str | None) -> bytes | None:
    """What `write_image` wrote."""
    return None if written is None else base64.b64decode(written)


async def open_channel(end: socket.socket, handlers: Handlers) -> Channel:
    """A channel over one end of a socket pair."""
    reader, writer = await asyncio.open_connection(sock=end, limit=_LONGEST_LINE)
    return Channel(reader, writer, handlers)
