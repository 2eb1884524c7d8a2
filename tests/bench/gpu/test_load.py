import asyncio
import threading
from collections.abc import Iterator

import pytest

from app.client.load.connection import Request
from bench.gpu.load import run_load


@pytest.fixture
def port() -> Iterator[int]:
    """A server that answers 200 to `/good` and 429 to the rest."""
    loop, started = asyncio.new_event_loop(), threading.Event()
    ports: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _read_head(reader):
            status = b"200 OK" if head.startswith(b"POST /good") else b"429 Too Many"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")
            await reader.readexactly(4)
        writer.close()

    async def serve() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            ports.append(server.sockets[0].getsockname()[1])
            started.set()
            await end.wait()

    async def play() -> None:
        await serve()
        for left in asyncio.all_tasks() - {asyncio.current_task()}:
            left.cancel()

    end = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(play(),))
    thread.start()
    assert started.wait(10)
    yield ports[0]
    loop.call_soon_threadsafe(end.set)
    thread.join(10)
    assert not thread.is_alive()
    loop.close()


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def test_answers_are_counted_by_status_and_only_good_ones_make_the_rate(port: int) -> None:
    requests = [Request("/good", b"body", {}), Request("/busy", b"body", {})]
    load = run_load(port, requests, connections=3, seconds=0.3, processes=2)
    assert set(load.statuses) == {"200", "429"}
    assert load.rate == load.statuses["200"] / 0.3
    assert 0 < load.p50_ms <= load.p99_ms
    assert load.lost == 0
