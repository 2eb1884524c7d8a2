"""The HTTP server: uvicorn run by our own main, so that a stopped server ends with status 0 after its drain."""

from __future__ import annotations

import asyncio
import functools
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from app.catalog.watch import hang_up
from app.observe import tracing
from app.observe.metrics import Metrics
from app.server.connection import Deadlines, ServiceProtocol
from app.server.fast_path import HotRoad
from app.server.guard import check_uvicorn
from app.settings import Settings
from artifact.errors import ConvserveError

_STOP = (signal.SIGINT, signal.SIGTERM)


class DrainingServer(uvicorn.Server):
    """Stops at SIGTERM or Ctrl-C by finishing what was accepted.

    uvicorn's own raises the signal again at the end, which makes an orderly end look like a killed one.
    """

    def __init__(self, config: uvicorn.Config, on_hangup: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._on_hangup = on_hangup

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


def make_server(
    app: FastAPI,
    settings: Settings,
    metrics: Metrics,
    on_hangup: Callable[[], None] = lambda: None,
    *,
    hot: bool = True,
) -> DrainingServer:
    """A server of `app` with the deadlines of the settings; `on_hangup` is called at SIGHUP. Without the `hot` road
    every request goes to the app.
    """
    check_uvicorn()
    _allow_many_connections()

    def count(error: ConvserveError) -> None:
        metrics.add("convserve_requests_total", "", str(error.status))
        metrics.add("convserve_rejections_total", "", error.code)

    protocol = functools.partial(
        ServiceProtocol,
        deadlines=Deadlines(settings.header_timeout_s, settings.body_timeout_s),
        on_refusal=count,
        # A recorded request is a span of the app's.
        road=HotRoad(app.state.services) if hot and not tracing.is_on() else None,
    )
    config = uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.drain_timeout_s,
        backlog=2048,
    )
    return DrainingServer(config, on_hangup)


def serve(
    app: FastAPI, settings: Settings, listener: socket.socket, read_aliases: Callable[[], dict[str, str] | None]
) -> None:
    """Answer on `listener` until told to stop. At SIGHUP the aliases become what `read_aliases` gives, if anything, and
    the repository is looked at.
    """
    catalog, control = app.state.services.catalog, app.state.services.control

    def on_hangup() -> None:
        catalog.background.spawn(hang_up(read_aliases(), catalog.traffic, catalog.find_changes, control))

    make_server(app, settings, catalog.metrics, on_hangup).run(sockets=[listener])


def _allow_many_connections() -> None:
    """Raise the soft limit on open files, often 1,024, to the hard one: every connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
