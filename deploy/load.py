"""Load of one POST over keep-alive connections to loopback, for measurements and for tests that kill servers.

Raw asyncio streams, because an HTTP library would take more of the machine than the service that it measures.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """One request: when it began and ended (monotonic seconds); status 0 where the connection broke."""

    began: float
    ended: float
    status: int
    headers: str = ""
    body: bytes = b""


@dataclass
class Load:
    """Posts `body` to 127.0.0.1:port/path over `connections` connections; `answers` grows while it runs."""

    port: int
    path: str
    body: bytes
    connections: int
    answers: list[Answer] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, seconds: float) -> list[Answer]:
        """Every answer of `seconds` of load; `stop` ends it earlier."""
        clients = [asyncio.create_task(self._client()) for _ in range(self.connections)]
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        self.stop()
        await asyncio.gather(*clients)
        return self.answers

    def stop(self) -> None:
        self._stop.set()

    async def _client(self) -> None:
        head = f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
        request = f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body
        writer: asyncio.StreamWriter | None = None
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(request)
                # The service answers with 504 after 10 s; silence for longer is a failure.
                async with asyncio.timeout(20):
                    headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                    lower = headers.lower()
                    length = int(lower.partition("content-length: ")[2].partition("\r\n")[0] or 0)
                    content = await reader.readexactly(length)
            except (OSError, EOFError, TimeoutError):
                self.answers.append(Answer(began, time.monotonic(), 0))
                if writer is not None:
                    writer.close()
                writer = None
                await asyncio.sleep(0.05)  # what a client does before it tries again
                continue
            self.answers.append(Answer(began, time.monotonic(), int(headers.split(" ", 2)[1]), headers, content))
            if "connection: close" in lower:
                writer.close()
                writer = None
        if writer is not None:
            writer.close()
