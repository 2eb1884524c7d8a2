"""DeadlineProtocol: uvicorn's HTTP/1.1 with what it lacks: deadlines for header and body, a limit on the header,
problem+json for what isn't HTTP, and a drain that loses no request.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import BadRequest, ConvserveError, RequestTimeout, RequestTooLarge, problem
from app.routes.encoding import encode_json

_MOST_HEADER_BYTES = 64_000
# From a deadline to its execution: a turn of the loop at least.
_LAST_LOOK_S = 0.05
# How long an idle connection stays open once the server stops: a request may already be on its way.
_GRACE_S = 0.2

_IDLE, _HEADER, _BODY = "idle", "header", "body"


@dataclass(frozen=True)
class Deadlines:
    """Seconds from the first byte of a header to its end, and from there to the end of the body."""

    header_s: float
    body_s: float


class DeadlineProtocol(HttpToolsProtocol):
    """One connection. A client that is slower than the deadlines gets 408 and loses its place."""

    def __init__(
        self, *args: Any, deadlines: Deadlines, on_refusal: Callable[[ConvserveError], None], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._deadlines = deadlines
        self._on_refusal = on_refusal
        self._phase = _IDLE
        self._requests = 0  # begun on this connection
        self._header_bytes = 0
        self._watched: tuple[str, int] = (_IDLE, 0)
        self._timer: asyncio.TimerHandle | None = None
        self._draining = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._phase = _HEADER  # a connection that sends nothing at all has no more time either
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = _IDLE
        self._watch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._phase == _HEADER and self.parser is not None:
            self._header_bytes += len(data)
            if self._header_bytes > _MOST_HEADER_BYTES:
                self._refuse(RequestTooLarge(f"the header has more than {_MOST_HEADER_BYTES:,} bytes, the limit"))
        self._watch()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = _HEADER
        self._requests += 1
        self._header_bytes = 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._phase = _BODY
        if self._draining:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = _IDLE

    def shutdown(self) -> None:
        self._draining = True
        if self._is_answered():
            self.loop.call_later(_GRACE_S, self._close_if_idle)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn sends for bytes that aren't HTTP."""
        self._refuse(BadRequest(f"{msg.rstrip('.').lower()}: it is not HTTP/1.1"))

    def _watch(self) -> None:
        """Set the timer of the phase that the connection is in. Called once a chunk, not once a phase: a request
        that comes whole needs no timer.
        """
        now = (self._phase, self._requests)
        if now == self._watched:
            return
        self._watched = now
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._phase != _IDLE:
            seconds = self._deadlines.header_s if self._phase == _HEADER else self._deadlines.body_s
            self._timer = self.loop.call_later(seconds, self._time_out)

    def _time_out(self, last: bool = False) -> None:
        self._timer = None
        if not last:
            # Where the loop is behind, timers run before what has already arrived is read: read first.
            self._timer = self.loop.call_later(_LAST_LOOK_S, self._time_out, True)
            return
        if not self._requests:  # a browser's spare connection: nobody would read an answer
            self.transport.close()
            return
        seconds = self._deadlines.header_s if self._phase == _HEADER else self._deadlines.body_s
        self._refuse(
            RequestTimeout(
                f"the {self._phase} was not complete after {seconds:g} s ({self._phase}_timeout_s): send it faster"
            )
        )

    def _refuse(self, error: ConvserveError) -> None:
        """Answer with an error where no other answer has begun, and close."""
        self._phase = _IDLE
        if self.transport.is_closing():
            return
        waits = self._is_waiting_for_body()
        if self._is_answered() or waits:
            request_id = f"{secrets.token_hex(6)}-0"
            body = encode_json(problem(error, instance="", request_id=request_id))
            status = HTTPStatus(error.status)
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
                f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self._on_refusal(error)
        if waits:  # the app learns that its client is gone
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _is_waiting_for_body(self) -> bool:
        """Whether the request at hand waits for the rest of its body, unanswered."""
        return self.cycle is not None and self.cycle.more_body and not self.cycle.response_started

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if (self._is_answered() and self._phase == _IDLE) or not self._requests:
            self.transport.close()
