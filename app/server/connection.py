"""ServiceProtocol: uvicorn's HTTP/1.1 with the fast path beside the app, a limit on the header, and one answer to each
request, in its turn, whatever comes behind it.
"""

from __future__ import annotations

from typing import Any

import httptools
from starlette.types import Message, Receive, Scope, Send

from app.errors import MethodNotAllowed, RequestTooLarge
from app.server.fast_path import FastCycle, FastPath
from app.server.head_check import MOST_BYTES, check_head, check_size, measure, without_upgrade
from app.server.interfaces import AppRequest, Incoming
from app.server.lasting_connection import BODY, HEADER, IDLE, LastingConnection
from artifact.errors import BadRequest, ConvserveError


class ServiceProtocol(LastingConnection):
    """One connection. A client that is slower than the deadlines gets 408, and its connection is closed."""

    def __init__(self, *args: Any, fast_path: FastPath | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fast_path = fast_path
        self._for_app = AppRequest(self)
        self._incoming: Incoming = self._for_app
        self._fast_cycle: FastCycle | None = None  # the last one on the fast path
        self._header_bytes = 0
        self._first_bytes = 0  # of the chunk that the header began in, maybe behind other requests
        self._is_long = False  # the bytes so far may hold a header above the limit
        self._chunk = b""  # what is being parsed, while its first request may be one for the fast path
        self._is_prompt = False
        self._wants_upgrade = False  # the request whose head is being read
        self._service = self.app
        self.app = self._run_app
        self._is_deaf = False  # what still comes can't be read as requests
        self._fault: tuple[object, ConvserveError] | None = None  # the scope whose body won't be complete, and why

    def connection_lost(self, exc: Exception | None) -> None:
        if self._fast_cycle is not None:
            self._fast_cycle.abandon()
        super().connection_lost(exc)
        # A cycle of references would keep the connection, and what it holds, until the garbage collector runs.
        self.app = self._service
        self.cycle = self._fast_cycle = None  # type: ignore[assignment]  # uvicorn starts with None, too
        del self._for_app, self._incoming

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self.closing.lingers:
            self.closing.drop(data)
            return
        # Where no request is under way, this is the beginning of one.
        begins = self.phase == IDLE or not (self.requests or self._header_bytes)
        if begins and self._answer_known(data):
            return
        self._chunk = data if begins else b""
        before = self.phase, self.requests
        self._is_long = self._first_bytes + self._header_bytes + len(data) > MOST_BYTES
        self._feed(data)
        # A header that began within these bytes, behind other requests maybe, is counted from the next ones on.
        if self.phase == HEADER and before != (HEADER, self.requests):
            self._first_bytes = len(data)
        elif self.phase == HEADER and self.parser is not None:
            self._header_bytes += len(data)
            try:
                check_size(self._header_bytes)
            except RequestTooLarge as error:
                self.refuse(error)
        self._chunk = b""
        self.watch()

    def _feed(self, data: bytes) -> None:
        """What uvicorn's data_received does, except that a request to upgrade the protocol is ignored: the parser would
        take what follows the head for another protocol, and the body of this request for the next one.
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
                self.refuse(
                    known
                    or BadRequest(
                        "the bytes received are not an HTTP/1.1 request: check the client's protocol and port"
                    )
                )
            return

    def _begin_without_upgrade(self) -> bytes:
        """Make a new parser, and return the head that it is to read: the present one, without the upgrade."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [name + b": " + value for name, value in without_upgrade(self.headers)]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self._wants_upgrade = False
        self.requests -= 1  # it is the same one
        return b"\r\n".join([method + b" " + self.url + b" HTTP/" + version, *lines, b"", b""])

    def _answer_known(self, data: bytes) -> bool:
        """Whether `data` is a whole request for the fast path, the like of which was read before: nothing of it has to
        be parsed.
        """
        if (fast_path := self._find_fast_path()) is None or (cycle := fast_path.recognize(data, self)) is None:
            return False
        before = self.cycle, self._incoming
        self.cycle = self._incoming = self._fast_cycle = cycle  # type: ignore[assignment]  # has what uvicorn asks of one
        cycle.admit()
        if cycle.finish_body() is not None:
            self.cycle, self._incoming = before
            self._fast_cycle = None
            return False
        self.phase = IDLE
        self.requests += 1
        self.watch()
        return True

    def on_message_begin(self) -> None:
        # What uvicorn makes here beside it, the app's scope, the fast path doesn't need: it comes in _begin_general.
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self.phase = HEADER
        self.requests += 1
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase == HEADER:  # behind a body they are trailers, and would pass for headers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.closing.is_closing():
            raise ConnectionAbortedError("behind the last request that is answered")
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise MethodNotAllowed("CONNECT is not allowed: this server is not a proxy")
            self._wants_upgrade = True
            return
        try:
            if self._is_long:
                check_size(measure(self.url, self.headers))
            check_head(self.headers, self.parser.get_http_version())
        except ConvserveError:
            given = next((value for name, value in self.headers if name == b"x-request-id"), b"")
            path = self.url.partition(b"?")[0]
            self.asked = self.parser.get_method().decode(), path.decode("latin-1"), given.decode("latin-1")
            raise
        self.phase = BODY
        if (cycle := self._take_fast_path()) is not None:
            self.cycle = self._incoming = self._fast_cycle = cycle  # type: ignore[assignment]  # has what uvicorn asks of one
            cycle.admit()
        else:
            self._begin_general()

    def on_body(self, body: bytes) -> None:
        self._incoming.add_body(body)

    def on_message_complete(self) -> None:
        if self._wants_upgrade:
            return
        self.phase = IDLE
        if (body := self._incoming.finish_body()) is not None:
            self.cycle = self._fast_cycle = None  # type: ignore[assignment]  # uvicorn starts with None, too
            self._begin_general()
            self._incoming.add_body(body)
            self._incoming.finish_body()

    def _take_fast_path(self) -> FastCycle | None:
        """How the fast path answers the request whose header is complete; None where it doesn't."""
        chunk, self._chunk = self._chunk, b""
        if self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return None
        fast_path = self._find_fast_path()
        if fast_path is None:
            return None
        return fast_path.take(self.url, self.headers, self.parser.should_keep_alive(), chunk, self)

    def _find_fast_path(self) -> FastPath | None:
        """The fast path, if a request may take it now: behind an unanswered one it waits its turn in uvicorn's queue;
        where the client doesn't read its answers, the app's next one waits for it.
        """
        return self._fast_path if self.is_answered() and not self.flow.write_paused else None

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
        self.cycle.transport = self.closing  # type: ignore[assignment]  # has what a cycle asks of one
        if self.draining:
            self.cycle.keep_alive = False

    async def _run_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_or_raise() -> Message:
            message = await receive()
            if self._fault is not None and self._fault[0] is scope:
                raise self._fault[1]
            return message

        await self._service(scope, receive_or_raise, send)

    def refuse(self, error: ConvserveError) -> None:
        """What comes can't be read any further. The present request gets `error`, in its turn and unless it is answered
        already; then the connection ends.
        """
        if self._is_deaf or self.closing.is_closing():
            return
        self._is_deaf = True
        if self.phase == BODY:
            self._fail_body(error)
        elif self.is_answered():
            self.say(error)
        else:
            self.last_word = error
        self.phase = IDLE

    def _fail_body(self, error: ConvserveError) -> None:
        """Have the app answer a request whose body won't be complete, by raising `error` when it reads on: it knows
        what was asked, and who may read the answer.
        """
        if isinstance(self._incoming, FastCycle) and not self._incoming.response_complete:
            body = self._incoming.give_back()
            self.cycle = self._fast_cycle = None  # type: ignore[assignment]  # uvicorn starts with None, too
            self._begin_general()
            self._incoming.add_body(body)
        self.cycle.keep_alive = False
        if self.cycle.response_complete:
            self.end()
        elif not self.cycle.response_started:
            self._fault = self.scope, error
            self.cycle.message_event.set()
