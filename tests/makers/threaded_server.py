"""The real HTTP server in a thread of the test's process, for clients that need a socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.catalog.catalog import Catalog
from app.main import create_app
from app.server.server import make_server
from app.server.sockets import open_socket
from app.settings import Settings


@contextmanager
def serve_in_thread(settings: Settings, *, catalog: Catalog | None = None, fast: bool = True) -> Iterator[int]:
    """A server whose models were all tried; gives its port. Without the `fast` path every request goes to the app."""
    with serve_all_in_thread(settings, catalog=catalog, fast=fast) as (port, _):
        yield port


@contextmanager
def serve_all_in_thread(
    settings: Settings, *, catalog: Catalog | None = None, fast: bool = True
) -> Iterator[tuple[int, int]]:
    """As `serve_in_thread`; gives the port of gRPC, too, or 0 without one."""
    app = create_app(settings, catalog)
    catalog = app.state.services.catalog
    server = make_server(app, settings, fast=fast)
    listener = open_socket("127.0.0.1", 0)
    tried = threading.Event()

    async def serve() -> None:
        async def tell() -> None:
            await catalog.wait_until_tried()
            tried.set()

        telling = asyncio.create_task(tell())
        await server._serve([listener])  # without the signals, which belong to the main thread
        await telling

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert tried.wait(60)
        yield listener.getsockname()[1], server.grpc_port
    finally:
        server.should_exit = True
        thread.join()
