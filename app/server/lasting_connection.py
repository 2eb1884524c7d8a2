"""LastingConnection: how long uvicorn's HTTP/1.1 connection lasts. Deadlines for header and body, one timer for idle
connections, a drain that loses no request, and a close that the client's last bytes can't turn into a reset.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sized
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import RequestTimeout
from app.http.problems import MEDIA_TYPE, write_problem
from app.observe.access_log import Journal
from app.server.lingering_close import LingeringClose
from artifact.errors import ConvserveError

# Seconds between a deadline and acting on it: at least one turn of the loop, which reads what has already arrived.
_LAST_LOOK_S = 0.05
# Seconds that an idle connection stays open once the server stops: a request may already be on its way.
_GRACE_S = 0.2

IDLE, HEADER, BODY = "idle", "header", "body"
"""What is being received: nothing, a request's header, or its body."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds from the first byte of a header to its end, and from there to the end of the body."""

    header_s: float
    body_s: float


class _Flow(FlowControl):
    """uvicorn's flow control, but nothing more is read while pipelined requests wait: uvicorn reads on after each
    answer, and a client that pipelines without end would fill the memory.
    """

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class LastingConnection(HttpToolsProtocol):
    """What happens to a connection between and after its requests. A subclass reads the requests, and says in `phase`
    and `requests` how far it is.
    """

    def __init__(self, *args: Any, deadlines: Deadlines, journal: Journal, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadlines = deadlines
        self._journal = journal
        self.phase = IDLE
        self.requests = 0  # begun on this connection
        self.draining = False
        self.last_word: ConvserveError | None = None  # the answer to send once every request has its own
        self.asked = "-", "-", ""
        """Method, address and X-Request-ID of what `last_word` answers, which may not be HTTP."""
        self._watched: tuple[str, int] = (IDLE, 0)
        self._timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0  # by the loop's clock, while nothing is being asked

    @abstractmethod
    def refuse(self, error: ConvserveError) -> None:
        """What comes can't be read any further: answer the present request with `error`, and end the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a stream's, always
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self.closing = LingeringClose(transport, self.loop)
        self.phase = HEADER  # a connection that sends nothing at all has no more time either
        self.watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self.phase = IDLE
        self.watch()
        self.closing.end()
        super().connection_lost(exc)

    def say(self, error: ConvserveError) -> None:
        """Answer with `error` what isn't a request that the app could be asked, and end the connection."""
        exchange = self._journal.open(*self.asked, "")
        exchange.code = error.code
        body = write_problem(error, "" if exchange.path == "-" else exchange.path, exchange.request_id)
        status = HTTPStatus(error.status)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {exchange.request_id}\r\nconnection: close\r\n\r\n"
        )
        self.closing.write(head.encode() + body)
        self._journal.close(exchange, error.status)
        self.end()

    def end(self) -> None:
        """The last answer of this connection was written."""
        self.closing.close()

    def on_response_complete(self) -> None:
        """As uvicorn's, but for the timer of idle connections: one looks now and then, instead of one per request."""
        if self.pipeline and not self.closing.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.pipeline.clear()
        if self.closing.is_closing():
            return
        if self.last_word is not None:
            # In the next turn: the answer before it may be one of a batch that is being written.
            self.loop.call_soon(self.say, self.last_word)
            return
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_whether_idle()

    def _look_whether_idle(self) -> None:
        self.timeout_keep_alive_task = None
        if self.closing.is_closing():
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0 or not self.is_answered() or self.phase != IDLE:
            wait = left if left > 0 else max(1.0, self.timeout_keep_alive)
            self.timeout_keep_alive_task = self.loop.call_later(wait, self._look_whether_idle)
        else:
            self.transport.close()

    def _unset_keepalive_if_required(self) -> None:
        """Called for every chunk: the timer looks for itself; only a lost connection ends it."""
        if self.transport.is_closing():
            super()._unset_keepalive_if_required()

    @property
    def unanswered(self) -> int:
        """Requests that were accepted and have no whole answer."""
        return len(self.pipeline) + (not self.is_answered())

    def shutdown(self) -> None:
        self.draining = True
        if self.is_answered():
            self.loop.call_later(_GRACE_S, self._close_if_idle)
        else:
            super().shutdown()

    def watch(self) -> None:
        """Set the timer of the phase that the connection is in. Called once per chunk, not once per phase: a request
        that comes whole needs no timer.
        """
        now = (self.phase, self.requests)
        if now == self._watched:
            return
        self._watched = now
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.phase != IDLE:
            seconds = self._deadlines.header_s if self.phase == HEADER else self._deadlines.body_s
            self._timer = self.loop.call_later(seconds, self._time_out)

    def _time_out(self, last: bool = False) -> None:
        self._timer = None
        if not last:
            # Where the loop is behind, timers run before what has already arrived is read: read first.
            self._timer = self.loop.call_later(_LAST_LOOK_S, self._time_out, True)
            return
        if not self.requests:  # a browser's spare connection: nobody would read an answer
            self.transport.close()
            return
        seconds = self._deadlines.header_s if self.phase == HEADER else self._deadlines.body_s
        self.refuse(
            RequestTimeout(
                f"the {self.phase} was not complete after {seconds:g} s ({self.phase}_timeout_s): send it faster"
            )
        )

    def is_answered(self) -> bool:
        """Whether no request is being answered: the present one has its whole answer, or there was none."""
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if self.closing.lingers:
            return  # it ends itself, soon
        if (self.is_answered() and self.phase == IDLE) or not self.requests:
            self.transport.close()
