"""The service that a command asks: a running one by its address, or the same app in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from app.admission.options import PredictOptions
from app.admission.services import Services
from app.catalog.mirror import fill
from app.catalog.threads import run_in_thread
from app.http.api.predict_json import write_answer
from app.main import create_app
from app.observe.logs import on_behalf_of
from app.settings_sources import load_settings
from artifact.errors import ConvserveError, StoreError

BYTES = {"Content-Type": "application/octet-stream"}
# In this process: images in flight at once, enough for full batches while further ones are read; and the seconds that
# an image may take, since no other client waits.
_AT_ONCE = 64
_PATIENCE_S = 86_400.0


class RequestFailed(Exception):
    """A request that failed: the service's error message and HTTP status; 503 where it can't be reached."""

    def __init__(self, words: str, status: int = 503) -> None:
        super().__init__(words)
        self.status = status


class Service:
    """A running service."""

    at_once = 16
    """Requests in flight at once: enough to fill batches, few enough to leave places in the queue to other clients."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        """The HTTP client, for everything but `predict`."""

    async def predict(self, model: str, image: bytes, options: Mapping[str, int]) -> dict[str, Any]:
        """The answer to POST /predict/{model}. Raises RequestFailed with the service's own words."""
        return await fetch(self.client, "POST", f"/predict/{model}", content=image, params=options, headers=BYTES)


class OwnService(Service):
    """An app in this process. `predict` calls its admission directly: HTTP would add work, and a deadline that nobody
    asked for.
    """

    def __init__(self, client: httpx2.AsyncClient, services: Services) -> None:
        super().__init__(client)
        self._services = services
        tables = services.settings.model.values()
        rows = [services.settings.max_queue_rows, *(table.max_queue_rows or _AT_ONCE for table in tables)]
        self.at_once = min(_AT_ONCE, *rows)

    async def predict(self, model: str, image: bytes, options: Mapping[str, int]) -> dict[str, Any]:
        """The same answer as Service.predict gives."""
        journal, status = self._services.journal, 0
        exchange = journal.open("POST", f"/predict/{model}", "", "")
        try:
            with on_behalf_of(exchange):
                ticket = self._services.admission.admit(exchange, model, PredictOptions.read(options), rows=0)
                results = await ticket.run((image,), _PATIENCE_S)
                (result,) = results
                if isinstance(result, ConvserveError):
                    raise result
            status = 200
        except ConvserveError as error:
            status, exchange.code = error.status, error.code
            raise RequestFailed(error.detail, error.status) from error
        finally:
            journal.close(exchange, status)
        body = write_answer(ticket.model, results, result.timing, ticket.terms, ticket.receipts)
        answer: dict[str, Any] = json.loads(body)
        return answer


@asynccontextmanager
async def connect(
    url: str | None, repository: Path | str | None, load: list[str], **settings: Any
) -> AsyncIterator[Service]:
    """The service at `url` or, without one, an app in this process over `repository` that loads only the models `load`;
    `settings` override those of the environment. Raises RequestFailed where `url` is no address or a store can't be
    read.
    """
    if url is not None:
        try:
            client = httpx2.AsyncClient(base_url=url, timeout=60.0)
        except httpx2.InvalidURL as error:
            raise RequestFailed(f"{url} is not an address ({error}): name one such as http://127.0.0.1:8000") from error
        async with client:
            yield Service(client)
        return
    given = {**settings, "repository": repository} if repository else settings
    nobody: dict[str, Any] = {"api_keys": [], "keys": {}}  # who runs the command may use its models
    chosen = load_settings().model_copy(update={"load": load, "log_level": "error", "poll_s": 0, **nobody, **given})
    try:
        await run_in_thread(partial(fill, chosen))
    except StoreError as error:
        raise RequestFailed(error.detail) from error
    app = create_app(chosen)
    async with app.router.lifespan_context(app):
        await app.state.services.catalog.wait_until_tried()
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://convserve") as client:
            yield OwnService(client, app.state.services)


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
    except httpx2.RequestError as error:
        raise RequestFailed(f"{client.base_url} answered what can't be read ({error}): is it convserve?") from error
    except httpx2.InvalidURL as error:
        raise RequestFailed(f"{client.base_url} can't be asked for {path!r} ({error})") from error
    if response.is_error:
        status = response.status_code
        raise RequestFailed(_read_json(client, response).get("detail", f"status {status}"), status)
    return response


def _read_json(client: httpx2.AsyncClient, response: httpx2.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise RequestFailed(
            f"{client.base_url} answered {response.status_code} without a JSON object: is it convserve?"
        )
    return body
