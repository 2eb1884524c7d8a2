"""The HTTP server: uvicorn run by our own main, so that a stopped server ends with status 0 after its drain."""

from __future__ import annotations

import asyncio
import functools
import logging
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI

from app.admission.services import Services
from app.catalog.control import LocalControl, ReadAgain
from app.observe import tracing
from app.server.connection import ServiceProtocol
from app.server.fast_path import FastPath
from app.server.guard import check_uvicorn
from app.server.lasting_connection import Deadlines
from app.settings import Settings

if TYPE_CHECKING:  # an extra: imported only where it serves
    from app.grpc.server import GrpcServer

log = logging.getLogger(__name__)

# Seconds for the TLS of clients that connected just before the end: a stopping server waits no longer.
_HANDSHAKE_S = 2.0

_STOP = (signal.SIGINT, signal.SIGTERM)


class DrainingServer(uvicorn.Server):
    """Stops at SIGTERM or Ctrl-C by finishing what was accepted.

    uvicorn's own raises the signal again at the end, which makes an orderly end look like a killed one.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_hangup: Callable[[], None],
        make_grpc: Callable[[], GrpcServer] | None,
    ) -> None:
        """`make_grpc` makes what serves gRPC beside HTTP, in the same event loop."""
        super().__init__(config)
        self._on_hangup = on_hangup
        self._make_grpc = make_grpc
        self._grpc: GrpcServer | None = None
        self.grpc_port = 0
        """The port of gRPC, once it listens; 0 before, and without gRPC."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _STOP:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        try:
            yield
        finally:
            for number in (*_STOP, signal.SIGHUP):
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)  # another signal changes nothing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._make_grpc is not None:
            self._grpc = self._make_grpc()
            self.grpc_port = self._grpc.bind()  # who calls from now on is answered once all has started
        await super().startup(sockets)
        if self._grpc is not None:
            await self._grpc.start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        requests = sum(connection.unanswered for connection in self.server_state.connections)  # type: ignore[union-attr]  # all have it
        requests += self._grpc.unanswered if self._grpc else 0
        name, patience = signal.Signals(sig).name, self.config.timeout_graceful_shutdown
        log.info("%s: stopping, once %d requests are answered, %s s at most", name, requests, patience)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # What the kernel accepted for us is ours to answer: closing the listener would reset it.
        waiting = [connection for listener in sockets or () for connection in _accept_all(listener)]
        for server in self.servers:
            server.close()
        if self._grpc is not None:  # drained beside the connections: uvicorn waits for its tasks, too
            closing = asyncio.create_task(self._grpc.close(self.config.timeout_graceful_shutdown or 0))
            self.server_state.tasks.add(closing)
            closing.add_done_callback(self.server_state.tasks.discard)
        await asyncio.gather(*map(self._take, waiting), return_exceptions=True)
        await super().shutdown(sockets)
        log.info("stopped")

    async def _take(self, connection: socket.socket) -> None:
        """Take a connection that was accepted. Raises OSError where the client has gone, or takes too long over TLS."""
        tls = self.config.ssl
        patience = {} if tls is None else {"ssl_handshake_timeout": _HANDSHAKE_S}
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self._make_protocol, connection, ssl=tls, **patience)

    def _make_protocol(self) -> asyncio.Protocol:
        """As uvicorn makes one for each connection that its listeners take."""
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    """Connections that wait at a listener now."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # none is left
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def make_server(
    app: FastAPI,
    settings: Settings,
    on_hangup: Callable[[], None] = lambda: None,
    *,
    fast: bool = True,
    shared: bool = False,
) -> DrainingServer:
    """A server of `app` with the deadlines of the settings; `on_hangup` is called at SIGHUP. Without the `fast` path
    every request goes to the app. `shared`: one of several processes at the same ports.
    """
    check_uvicorn()
    _allow_many_connections()
    services: Services = app.state.services
    protocol = functools.partial(
        ServiceProtocol,
        deadlines=Deadlines(settings.header_timeout_s, settings.body_timeout_s),
        journal=services.journal,
        # A recorded request is a span of the app's.
        fast_path=FastPath(services) if fast and not tracing.is_on() else None,
    )
    config = uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]  # makes one, as the class does
        ws="none",
        log_config=None,
        log_level="error",  # its warnings are of what clients sent: these get an answer, and the access log a line
        access_log=False,
        server_header=False,
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.drain_timeout_s,
        backlog=2048,
    )
    return DrainingServer(config, on_hangup, _choose_grpc(services, shared))


def _choose_grpc(services: Services, shared: bool) -> Callable[[], GrpcServer] | None:
    if services.settings.grpc_port is None:
        return None
    from app.grpc.server import GrpcServer

    return functools.partial(GrpcServer, services, shared=shared)


def serve(
    app: FastAPI, settings: Settings, control: LocalControl, listener: socket.socket, read_again: ReadAgain
) -> None:
    """Answer on `listener` until told to stop. At SIGHUP the aliases become those of the settings that `read_again`
    gives, if any, and the repository is looked at.
    """
    make_server(app, settings, lambda: control.hang_up(read_again)).run(sockets=[listener])


def _allow_many_connections() -> None:
    """Raise the soft limit on open files, often 1,024, to the hard one: every connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
