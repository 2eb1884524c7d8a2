"""ServedBy: ASGI middleware that names the replica in every answer, so that one can see who answers."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ServedBy:
    """Adds the header X-Served-By with `name` to HTTP answers."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._header = (b"x-served-by", name.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], self._header]}
            await send(message)

        await self._app(scope, receive, send_named if scope["type"] == "http" else send)
