"""What the commands talk to: a running service by its address, or the same app within this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from app.catalog.mirror import fill
from app.catalog.threads import run_in_thread
from app.main import create_app
from app.settings import load_settings
from artifact.errors import StoreError


class RequestFailed(Exception):
    """The service's own words about a request that failed."""


@asynccontextmanager
async def connect(url: str | None, repository: Path | str | None, load: list[str]) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the service at `url` or, without one, of an app of our own over `repository` that loads
    only `load`.
    """
    if url is not None:
        async with httpx2.AsyncClient(base_url=url, timeout=60.0) as client:
            yield client
        return
    given = {"repository": repository} if repository else {}
    settings = load_settings().model_copy(update={"load": load, "log_level": "error", "poll_s": 0, **given})
    try:
        await run_in_thread(partial(fill, settings))
    except StoreError as error:
        raise RequestFailed(error.detail) from error
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        await app.state.services.catalog.wait_until_tried()
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://convserve") as client:
            yield client


async def fetch(client: httpx2.AsyncClient, method: str, path: str, **options: Any) -> dict[str, Any]:
    """The JSON answer. Raises RequestFailed with the service's own words, or saying that it can't be reached."""
    return _read_json(client, await _send(client, method, path, **options))


async def fetch_picture(client: httpx2.AsyncClient, path: str, **options: Any) -> bytes:
    """The PNG that the service answers to a POST. Raises RequestFailed as `fetch` does."""
    headers = {"Accept": "image/png", **options.pop("headers", {})}
    response = await _send(client, "POST", path, headers=headers, **options)
    if response.headers.get("content-type") != "image/png":
        raise RequestFailed(f"{client.base_url} answered without a picture: is it convserve?")
    return response.content


async def _send(client: httpx2.AsyncClient, method: str, path: str, **options: Any) -> httpx2.Response:
    try:
        response = await client.request(method, path, **options)
    except httpx2.TransportError as error:
        raise RequestFailed(f"{client.base_url} can't be reached ({error}): is the service running?") from error
    if response.is_error:
        raise RequestFailed(_read_json(client, response).get("detail", f"status {response.status_code}"))
    return response


def _read_json(client: httpx2.AsyncClient, response: httpx2.Response) -> dict[str, Any]:
    try:
        body: dict[str, Any] = response.json()
    except ValueError as error:
        raise RequestFailed(
            f"{client.base_url} answered {response.status_code} without JSON: is it convserve?"
        ) from error
    return body
