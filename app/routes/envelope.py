"""What every answer carries: X-Request-ID and Server-Timing. And the last net under unexpected errors."""

from __future__ import annotations

import itertools
import re
import secrets
import time

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.routes.problems import unexpected_response

_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class Envelope:
    """ASGI middleware: gives each request an id (the client's own X-Request-ID where it is plain) and times
    it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        # A random prefix and a counter: unique over processes, and 20 times cheaper than a UUID for each
        # request.
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        state = scope.setdefault("state", {})
        state["request_id"] = self._find_id(scope)
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = state["request_id"]
                total = f"total;dur={(time.perf_counter() - start) * 1e3:.2f}"
                stages = headers.get("Server-Timing")
                headers["Server-Timing"] = f"{stages}, {total}" if stages else total
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:
            response = unexpected_response(Request(scope), error)
            if not started:
                await response(scope, receive, send_with_headers)

    def _find_id(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _ACCEPTED_ID.fullmatch(value):
                return str(value, "ascii")
        return f"{self._prefix}-{next(self._numbers):x}"
