"""What a connection, the fast path and the app ask of one another."""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Incoming(Protocol):
    """A request whose body is being received, whoever will answer it."""

    def add_body(self, chunk: bytes) -> None:
        """The next bytes of the body."""

    def finish_body(self) -> bytes | None:
        """Called once the body is whole. Returns the body where the fast path leaves the request to the app, else
        None.
        """


class AppRequest:
    """A request for the app, which uvicorn drives."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol

    def add_body(self, chunk: bytes) -> None:
        HttpToolsProtocol.on_body(self._protocol, chunk)

    def finish_body(self) -> None:
        HttpToolsProtocol.on_message_complete(self._protocol)


class Shared(Protocol):
    """What a server's connections share."""

    default_headers: list[tuple[bytes, bytes]]
    """Of every answer; another list as soon as one of them changes."""


class Connection(Protocol):
    """What the fast path needs of the connection that a request came by."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    draining: bool

    @property
    def connections(self) -> Sized:
        """All connections of the server."""

    @property
    def server_state(self) -> Shared: ...

    def be_prompt(self) -> None:
        """Have writes sent at once from now on."""

    def end(self) -> None:
        """Nothing more will be written."""

    def on_response_complete(self) -> None:
        """The answer was written."""
