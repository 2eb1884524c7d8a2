"""What every answer carries: X-Request-ID and Server-Timing. Counts it, logs it, traces it; and the last net under
unexpected errors.
"""

from __future__ import annotations

import itertools
import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.logs import RequestIds, current_request
from app.metrics import Metrics
from app.model import LoadedModel
from app.routes.problems import unexpected_response
from app.tracing import read_trace_id, trace_request

log = logging.getLogger("convserve.access")

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Envelope:
    """ASGI middleware: gives each request an id (the client's own X-Request-ID where it is plain) and times
    it.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, access_log: bool) -> None:
        self.app = app
        self._metrics = metrics
        self._access_log = access_log
        # A random prefix and a counter: unique over processes, and 20 times cheaper than a UUID for each
        # request.
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["request_id"] = self._find_id(headers)
        trace_id = read_trace_id(headers.get("traceparent", ""))
        token = current_request.set(RequestIds(state["request_id"], trace_id))
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer["X-Request-ID"] = state["request_id"]
                total = f"total;dur={(time.perf_counter() - start) * 1e3:.2f}"
                stages = answer.get("Server-Timing")
                answer["Server-Timing"] = f"{stages}, {total}" if stages else total
            await send(message)

        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        try:
            with trace_request(f"{scope['method']} {scope['path']}", headers, attributes) as span:
                await self.app(scope, receive, send_with_headers)
                if span is not None:
                    span.set_attribute("http.response.status_code", status)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:
            response = unexpected_response(Request(scope), error)
            if not status:
                await response(scope, receive, send_with_headers)
        finally:
            self._record(scope, status, time.perf_counter() - start)
            current_request.reset(token)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer; one that nobody waited for has no status."""
        state = scope["state"]
        model: LoadedModel | None = state.get("model")
        name = "" if model is None else model.name
        self._metrics.add("convserve_requests_total", name, str(status or 499))
        if status >= 400:
            self._metrics.add("convserve_rejections_total", name, state.get("error_code", str(status)))
        if model is not None:
            if 200 <= status < 400:
                model.meters.requests.observe(seconds)
            else:
                model.meters.record_failure(seconds)
        if self._access_log:
            fields = {
                "method": scope["method"],
                "path": scope["path"],
                "status": status or 499,
                "ms": round(seconds * 1e3, 2),
                "model": name,
            }
            line = f"{scope['method']} {scope['path']} {status or 499} {seconds * 1e3:.1f} ms"
            log.info("%s", line, extra={"fields": fields})

    def _find_id(self, headers: Headers) -> str:
        given = headers.get("x-request-id", "")
        return given if _ACCEPTED_ID.fullmatch(given) else f"{self._prefix}-{next(self._numbers):x}"
