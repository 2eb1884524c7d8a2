"""ServiceProtocol: uvicorn's HTTP/1.1 with what it lacks: deadlines for header and body, a limit on the header,
problem+json for what isn't HTTP, a drain that loses no request, and the hot road beside the app.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import httptools
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import MethodNotAllowed, RequestTimeout, RequestTooLarge
from app.http.problems import MEDIA_TYPE, write_problem
from app.observe.access_log import Journal
from app.server.fast_path import HotCycle, HotRoad
from app.server.head_check import check_head, without_upgrade
from app.server.lingering_close import LingeringClose
from artifact.errors import BadRequest, ConvserveError

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


class Incoming(Protocol):
    """A request whose body is coming in, whoever will answer it."""

    def add_body(self, chunk: bytes) -> None:
        """The next bytes of the body."""

    def finish_body(self) -> bytes | None:
        """The body is whole. Gives it back where the app has to answer instead."""


class _AppRequest:
    """A request for the app, which uvicorn drives."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol

    def add_body(self, chunk: bytes) -> None:
        HttpToolsProtocol.on_body(self._protocol, chunk)

    def finish_body(self) -> None:
        HttpToolsProtocol.on_message_complete(self._protocol)


class _Flow(FlowControl):
    """uvicorn's, but nothing more is read while requests wait behind one another: it reads on after each answer, and a
    client that pipelines without end fills the memory.
    """

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class ServiceProtocol(HttpToolsProtocol):
    """One connection. A client that is slower than the deadlines gets 408 and loses its place."""

    def __init__(
        self,
        *args: Any,
        deadlines: Deadlines,
        journal: Journal,
        road: HotRoad | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._deadlines = deadlines
        self._journal = journal
        self._road = road
        self._for_app = _AppRequest(self)
        self._incoming: Incoming = self._for_app
        self._hot: HotCycle | None = None  # the last one on the hot road
        self._phase = _IDLE
        self._requests = 0  # begun on this connection
        self._header_bytes = 0
        self._chunk = b""  # what is being parsed, while its first request may be one for the hot road
        self._is_prompt = False
        self._wants_upgrade = False  # the request whose head is being read
        self._service = self.app
        self.app = self._run_app
        self._is_deaf = False  # what still comes can't be read as requests
        self._last_word: ConvserveError | None = None  # to be said once everything is answered
        self._fault: tuple[object, ConvserveError] | None = None  # the scope whose body won't be whole, and why
        self._watched: tuple[str, int] = (_IDLE, 0)
        self._timer: asyncio.TimerHandle | None = None
        self.draining = False
        self._idle_since = 0.0  # by the loop's clock, while nothing is being asked

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._closing = LingeringClose(transport, self.loop)
        self._phase = _HEADER  # a connection that sends nothing at all has no more time either
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = _IDLE
        self._watch()
        self._closing.end()
        if self._hot is not None:
            self._hot.abandon()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self._closing.lingers:
            self._closing.drop(data)
            return
        # Where no request is under way, this is the beginning of one.
        begins = self._phase == _IDLE or not (self._requests or self._header_bytes)
        if begins and self._answer_known(data):
            return
        self._chunk = data if begins else b""
        before = self._phase, self._requests
        self._feed(data)
        # A header that began within these bytes, behind other requests maybe, is counted from the next ones on.
        if self._phase == _HEADER and before == (_HEADER, self._requests) and self.parser is not None:
            self._header_bytes += len(data)
            if self._header_bytes > _MOST_HEADER_BYTES:
                self._refuse(RequestTooLarge(f"the header has more than {_MOST_HEADER_BYTES:,} bytes, the limit"))
        self._chunk = b""
        self._watch()

    def _feed(self, data: bytes) -> None:
        """What uvicorn's data_received does, but a wish to change the protocol is passed over: the parser would take
        what follows the head for another protocol, and the body of this request for the next one.
        """
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._begin_without_upgrade() + data[upgrade.args[0] :]
                continue
            except httptools.HttpParserError as error:
                cause = error.__context__
                known = cause if isinstance(cause, ConvserveError) else None
                self._refuse(known or BadRequest("the bytes that came are not HTTP/1.1: send a request"))
            return

    def _begin_without_upgrade(self) -> bytes:
        """A parser that begins anew, and the head that it is to read instead of the one at hand."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [name + b": " + value for name, value in without_upgrade(self.headers)]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self._wants_upgrade = False
        self._requests -= 1  # it is the same one
        return b"\r\n".join([method + b" " + self.url + b" HTTP/" + version, *lines, b"", b""])

    def _answer_known(self, data: bytes) -> bool:
        """Whether `data` is a whole request for the hot road, the like of which was read before: nothing of it has to
        be parsed.
        """
        if (road := self._find_hot_road()) is None or (cycle := road.recognize(data, self)) is None:
            return False
        before = self.cycle, self._incoming
        self.cycle = self._incoming = self._hot = cycle  # type: ignore[assignment]
        if cycle.finish_body() is not None:
            self.cycle, self._incoming = before
            self._hot = None
            return False
        self._phase = _IDLE
        self._requests += 1
        self._watch()
        return True

    def on_message_begin(self) -> None:
        # What uvicorn makes here beside it, the app's scope, the hot road doesn't need: it comes in _begin_general.
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._phase = _HEADER
        self._requests += 1
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase == _HEADER:  # behind a body they are trailers, and would pass for headers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._closing.is_closing():
            raise ConnectionAbortedError("behind the last request that is answered")
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise MethodNotAllowed("CONNECT is not allowed: this is no proxy")
            self._wants_upgrade = True
            return
        check_head(self.headers, self.parser.get_http_version())
        self._phase = _BODY
        if (cycle := self._take_hot_road()) is not None:
            self.cycle = self._incoming = self._hot = cycle  # type: ignore[assignment]
        else:
            self._begin_general()

    def on_body(self, body: bytes) -> None:
        self._incoming.add_body(body)

    def on_message_complete(self) -> None:
        if self._wants_upgrade:
            return
        self._phase = _IDLE
        if (body := self._incoming.finish_body()) is not None:
            self.cycle = self._hot = None  # type: ignore[assignment]
            self._begin_general()
            self._incoming.add_body(body)
            self._incoming.finish_body()

    def _take_hot_road(self) -> HotCycle | None:
        """How the hot road answers the request whose header is complete; None where it doesn't."""
        chunk, self._chunk = self._chunk, b""
        if self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return None
        road = self._find_hot_road()
        if road is None:
            return None
        return road.take(self.url, self.headers, self.parser.should_keep_alive(), chunk, self)

    def _find_hot_road(self) -> HotRoad | None:
        """The hot road, where a request may take it now: behind an unanswered one it waits its turn in uvicorn's queue;
        where the client doesn't read its answers, the app's next one waits for it.
        """
        return self._road if self._is_answered() and not self.flow.write_paused else None

    def be_prompt(self) -> None:
        """Have writes sent at once from now on. By default uvloop sends them at the end of the loop's turn, which is
        better for the app's answers: they come in two pieces.
        """
        if not self._is_prompt:
            self._is_prompt = True
            self.transport.set_write_buffer_limits(0)

    def _begin_general(self) -> None:
        if self._is_prompt:
            self._is_prompt = False
            self.transport.set_write_buffer_limits()
        self._incoming = self._for_app
        read = self.url, self.expect_100_continue, self.headers
        super().on_message_begin()
        self.url, self.expect_100_continue, self.headers = read
        self.scope["headers"] = self.headers
        super().on_headers_complete()
        self.cycle.transport = self._closing  # type: ignore[assignment]
        if self.draining:
            self.cycle.keep_alive = False

    async def _run_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_or_raise() -> Message:
            message = await receive()
            if self._fault is not None and self._fault[0] is scope:
                raise self._fault[1]
            return message

        await self._service(scope, receive_or_raise, send)

    def end(self) -> None:
        """The last answer of this connection was written."""
        self._closing.close()

    def on_response_complete(self) -> None:
        """As uvicorn's, but for the timer of idle connections: one that looks now and then instead of one a request."""
        if self.pipeline and not self._closing.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.pipeline.clear()
        if self._closing.is_closing():
            return
        if self._last_word is not None:
            # In the next turn: the answer before it may be one of a batch that is being written.
            self.loop.call_soon(self._say, self._last_word)
            return
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_whether_idle()

    def _look_whether_idle(self) -> None:
        self.timeout_keep_alive_task = None
        if self._closing.is_closing():
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0 or not self._is_answered() or self._phase != _IDLE:
            wait = left if left > 0 else max(1.0, self.timeout_keep_alive)
            self.timeout_keep_alive_task = self.loop.call_later(wait, self._look_whether_idle)
        else:
            self.transport.close()

    def _unset_keepalive_if_required(self) -> None:
        """Called at every chunk: the timer looks for itself; only a lost connection ends it."""
        if self.transport.is_closing():
            super()._unset_keepalive_if_required()

    @property
    def unanswered(self) -> int:
        """Requests that were accepted and have no whole answer."""
        return len(self.pipeline) + (not self._is_answered())

    def shutdown(self) -> None:
        self.draining = True
        if self._is_answered():
            self.loop.call_later(_GRACE_S, self._close_if_idle)
        else:
            super().shutdown()

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
        """What comes can't be read on. The request at hand gets `error`, in its turn and where it isn't answered yet;
        then the connection ends.
        """
        if self._is_deaf or self._closing.is_closing():
            return
        self._is_deaf = True
        if self._phase == _BODY:
            self._fail_body(error)
        elif self._is_answered():
            self._say(error)
        else:
            self._last_word = error
        self._phase = _IDLE

    def _fail_body(self, error: ConvserveError) -> None:
        """Who answers a request whose body won't be whole is the app, when it reads on: it knows what was asked, and
        who may read the answer.
        """
        if isinstance(self._incoming, HotCycle):
            body = self._incoming.give_back()
            self.cycle = self._hot = None  # type: ignore[assignment]
            self._begin_general()
            self._incoming.add_body(body)
        self.cycle.keep_alive = False
        if self.cycle.response_complete:
            self.end()
        elif not self.cycle.response_started:
            self._fault = self.scope, error
            self.cycle.message_event.set()

    def _say(self, error: ConvserveError) -> None:
        """Answer what is no request that the app could be asked, and end."""
        exchange = self._journal.open("-", "-", "", "")  # what it is about may not be known, or not be HTTP
        exchange.code = error.code
        body = write_problem(error, "", exchange.request_id)
        status = HTTPStatus(error.status)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {exchange.request_id}\r\nconnection: close\r\n\r\n"
        )
        self._closing.write(head.encode() + body)
        self._journal.close(exchange, error.status)
        self.end()

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if self._closing.lingers:
            return  # it ends itself, soon
        if (self._is_answered() and self._phase == _IDLE) or not self._requests:
            self.transport.close()
