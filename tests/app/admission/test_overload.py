"""What a client sees of the queue: full, too slow, shutting down, gone. The model runs only when the test lets it."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.batching.batcher import Batcher
from app.catalog.catalog import Catalog
from app.errors import DeviceFailed
from app.main import create_app
from app.settings import Settings
from tests.makers.artifacts import gray_image
from tests.makers.gate import Gate

WHITE = gray_image(255)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def make_app(repository: Path, gate: Gate) -> Callable[..., FastAPI]:
    def make(**options: Any) -> FastAPI:
        settings = Settings(repository=repository, **options)
        return create_app(settings, Catalog(settings, gate.load))

    return make


@pytest.fixture
def in_background() -> Iterator[Callable[..., Any]]:
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


def test_a_full_queue_is_429_with_retry_after_and_recovers(
    make_app: Callable[..., FastAPI], open_client: Callable[..., TestClient], gate: Gate, in_background: Any
) -> None:
    client = open_client(make_app(max_queue_rows=1))
    running = in_background(client.post, "/predict/tiny", content=WHITE)
    gate.entered.acquire()
    waiting = in_background(client.post, "/predict/tiny", content=WHITE)
    batcher = client.app.state.services.catalog.resolve("tiny").batcher  # type: ignore[attr-defined]
    while not batcher.queue_rows:  # until the second request has its place
        client.get("/health/live")
    refused = client.post("/predict/tiny", content=WHITE)
    assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
    assert int(refused.headers["Retry-After"]) >= 1
    gate.open.set()
    assert running.result().status_code == waiting.result().status_code == 200
    assert client.post("/predict/tiny", content=WHITE).status_code == 200


def test_a_request_without_an_answer_at_its_deadline_is_504(
    make_app: Callable[..., FastAPI], open_client: Callable[..., TestClient], gate: Gate
) -> None:
    client = open_client(make_app())
    late = client.post("/predict/tiny?timeout_ms=20", content=WHITE)
    assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
    assert "timeout_ms" in late.json()["detail"]
    gate.open.set()
    assert client.post("/predict/tiny", content=WHITE).status_code == 200


def test_a_failed_device_is_503_and_the_model_comes_back(
    make_app: Callable[..., FastAPI], open_client: Callable[..., TestClient], gate: Gate
) -> None:
    app = make_app()
    client = open_client(app)
    gate.open.set()
    gate.error = DeviceFailed("the GPU fell off the bus")
    failed = client.post("/predict/tiny", content=WHITE)
    assert (failed.status_code, failed.json()["code"]) == (503, "device_failed")
    gate.error = None
    assert client.portal is not None
    client.portal.call(app.state.services.catalog.wait_until_settled)
    assert client.post("/predict/tiny", content=WHITE).status_code == 200


def test_a_model_that_can_not_process_an_image_is_not_a_500(
    make_app: Callable[..., FastAPI], open_client: Callable[..., TestClient], gate: Gate
) -> None:
    client = open_client(make_app())
    gate.open.set()
    gate.error = ArithmeticError("secret")
    failed = client.post("/predict/tiny", content=WHITE)
    assert (failed.status_code, failed.json()["code"]) == (400, "row_failed")
    assert "secret" not in failed.text


def test_a_client_that_goes_away_leaves_the_queue_unrun(make_app: Callable[..., FastAPI], gate: Gate) -> None:
    async def scene() -> None:
        app = make_app()
        async with app.router.lifespan_context(app):
            catalog = app.state.services.catalog
            await catalog.wait_until_tried()
            batcher = catalog.resolve("tiny").batcher
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://x") as client:
                running = asyncio.create_task(client.post("/predict/tiny", content=WHITE))
                await asyncio.to_thread(gate.entered.acquire)
                gone = asyncio.Event()
                sent = await _post_and_leave(app, gone, batcher)
                assert sent == [], "nobody is left to answer"
                assert batcher.queue_rows == 0
                gate.open.set()
                assert (await running).status_code == 200
            assert gate.batches == [1]

    asyncio.run(scene())


async def _post_and_leave(app: FastAPI, gone: asyncio.Event, batcher: Batcher[Any, Any]) -> list[Any]:
    """Post an image as a bare ASGI client, and disconnect once its row waits in the queue."""
    sent: list[Any] = []
    first = [{"type": "http.request", "body": WHITE, "more_body": False}]

    async def receive() -> Any:
        if first:
            return first.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/predict/tiny",
        "raw_path": b"/predict/tiny",
        "query_string": b"",
        "headers": [(b"content-type", b"image/png")],
        "server": ("x", 80),
    }
    request = asyncio.create_task(app(scope, receive, send))
    while not batcher.waiting_rows:
        await asyncio.sleep(0)
    gone.set()
    await request
    return sent
