"""A small HTTP/1.1 client: one connection, requests one after another; what is right is for the caller to judge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

# Servers close what was idle for their keep-alive time, 5 s and more as a rule. A request that is sent in that moment
# is lost, and after the whole machine stood still all connections are that old at once.
_MOST_IDLE_S = 2.0


@dataclass(frozen=True)
class Request:
    path: str
    body: bytes
    headers: dict[str, str]
    chunked: bool = False

    def encode(self) -> bytes:
        """The bytes on the wire. Headers go as they are: what can't be sent mustn't be in them."""
        lines = [f"POST {self.path} HTTP/1.1", "Host: bench", *(f"{n}: {v}" for n, v in self.headers.items())]
        if not self.chunked:
            return "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""]).encode("latin-1") + self.body
        half = len(self.body) // 2
        pieces = [f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in (self.body[:half], self.body[half:]) if p]
        head = "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode("latin-1")
        return head + b"".join(pieces) + b"0\r\n\r\n"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One HTTP connection. It opens at the first request, and again after the server closed it or may be about to."""

    def __init__(self, port: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._port, self._clock = port, clock
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def send(self, request: Request) -> Answer:
        """Raises ConnectionError or IncompleteReadError where the server goes away."""
        idle_s = self._clock() - self._used
        if self._streams is not None and (idle_s > _MOST_IDLE_S or self._streams[0].at_eof()):
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            writer.write(request.encode())
            answer = await _read(reader)
        except BaseException:
            await self.end()
            raise
        self._used = self._clock()
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    async def end(self) -> None:
        """Close it, and wait until it is gone."""
        if self._streams is not None:
            _, writer = self._streams
            self.close()
            with suppress(OSError):  # it was broken before
                await writer.wait_closed()

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(first.split()[1]), headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    """A body in chunks, without trailers."""
    found = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        found += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return found
