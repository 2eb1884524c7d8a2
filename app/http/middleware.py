"""Middleware for every request: X-Request-ID and Server-Timing, metrics, access log, trace, and the answer to errors
that nothing else caught.
"""

from __future__ import annotations

import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import unexpected_response
from app.observe.access_log import Journal
from app.observe.logs import on_behalf_of
from app.observe.tracing import trace_request


class Envelope:
    """ASGI middleware: gives each request an id (the client's own X-Request-ID where it is plain) and times
    it.
    """

    def __init__(self, app: ASGIApp, journal: Journal) -> None:
        self.app = app
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        ids = headers.get("x-request-id", ""), headers.get("traceparent", "")
        exchange = self._journal.open(scope["method"], scope["path"], *ids, headers.get)
        scope.setdefault("state", {})["exchange"] = exchange
        status = 0

        is_head = scope["method"] == "HEAD"

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer["X-Request-ID"] = exchange.request_id
                total = f"total;dur={(time.perf_counter() - exchange.started) * 1e3:.2f}"
                stages = answer.get("Server-Timing")
                answer["Server-Timing"] = f"{stages}, {total}" if stages else total
            await send(message)

        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        try:
            name = f"{scope['method']} {scope['path']}"
            with on_behalf_of(exchange), trace_request(name, headers, attributes) as span:
                await self.app(_plain(scope), receive, send_with_headers)
                if span is not None:
                    span.set_attribute("http.response.status_code", status)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:
            response = unexpected_response(Request(scope), error)
            if not status:
                await response(scope, receive, send_with_headers)
        finally:
            self._journal.close(exchange, status)


def _plain(scope: Scope) -> Scope:
    """The request as the routes know it: HEAD is GET without the body, and a slash at the end of a path says nothing.
    (To redirect it would need the scheme and host that a proxy in front knows.)
    """
    method, path = scope["method"], scope["path"]
    if method != "HEAD" and not path.endswith("/"):
        return scope
    least = scope.get("root_path", "").rstrip("/") + "/"
    shorter = path if path in ("/", least) else path.rstrip("/") or "/"
    return {**scope, "method": "GET" if method == "HEAD" else method, "path": shorter}
