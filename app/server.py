"""The HTTP server: uvicorn run by our own main, so that a stopped server ends with status 0 after its drain."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from app.settings import Settings

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DrainingServer(uvicorn.Server):
    """Stops at SIGTERM or Ctrl-C by finishing what was accepted.

    uvicorn's own raises the signal again at the end, which makes an orderly end look like a killed one.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that listens at host:port; port 0 takes a free one. Raises OSError where it can't be had."""
    family, _, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # With its protocol named: asyncio sets TCP_NODELAY only on sockets that say they are TCP, and without it every
    # answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, protocol or socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    """The http:// address to print."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: FastAPI, settings: Settings, listener: socket.socket) -> None:
    """Answer on `listener` until told to stop."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.drain_timeout_s,
    )
    DrainingServer(config).run(sockets=[listener])
