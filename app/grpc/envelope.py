"""What all calls have in common: an id, a deadline, one status for one fault, a place in the metrics and in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc

from app.errors import DeadlineExceeded, RequestTimeout
from app.grpc.messages import Message, parse
from app.observe.access_log import Exchange, Journal
from app.observe.logs import log_unexpected, on_behalf_of
from app.observe.tracing import trace_request
from artifact.errors import BadRequest, ConvserveError

_STATUSES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ABORTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# Clients take 8 KB of trailers, in which a character may become 12 bytes.
_MOST_DETAIL = 500


class Call:
    """One request over gRPC."""

    __slots__ = ("_context", "authorization", "exchange", "headers")

    def __init__(self, journal: Journal, path: str, context: Any) -> None:
        """`context` is grpc.aio's."""
        self._context = context
        self.headers: dict[str, str] = dict(context.invocation_metadata())
        self.authorization = self.headers.get("authorization", "")
        ids = self.headers.get("x-request-id", ""), self.headers.get("traceparent", "")
        self.exchange: Exchange = journal.open("POST", path, *ids, self.headers.get)

    async def read(self, kind: type[Message], patience_s: float) -> Message:
        """The one message that comes. Raises RequestTimeout where it isn't whole in time, BadRequest where none comes
        or it is another.
        """
        try:
            async with asyncio.timeout(patience_s):
                data = await self._context.read()
        except TimeoutError as error:
            raise RequestTimeout(f"no whole message came within {patience_s:g} s (body_timeout_s)") from error
        if data is grpc.aio.EOF:
            raise BadRequest(f"the call ended without a message: send a {kind.DESCRIPTOR.full_name}")
        return parse(kind, data)

    def remaining_s(self) -> float | None:
        """Seconds until the client's own deadline; None without one."""
        remaining: float | None = self._context.time_remaining()
        return remaining

    def accept(self) -> None:
        """Set the trailing metadata of an answered call: x-request-id."""
        self._context.set_trailing_metadata((("x-request-id", self.exchange.request_id),))

    async def refuse(self, error: ConvserveError) -> NoReturn:
        """End the call with an error."""
        trailers = [
            ("x-request-id", self.exchange.request_id),
            ("x-error-code", error.code),
            *((name.lower(), value) for name, value in error.headers.items()),
        ]
        status = _STATUSES.get(error.status, grpc.StatusCode.INVALID_ARGUMENT)
        await self._context.abort(status, error.detail[:_MOST_DETAIL], tuple(trailers))
        raise AssertionError("grpc.aio's abort raises")


class Envelope:
    """Opens calls, and counts them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.unanswered = 0
        """Requests that are being answered."""

    def open(self, path: str, context: Any) -> Call:
        """A request to `path` begins; `context` is grpc.aio's."""
        return Call(self._journal, path, context)

    async def turn_away(self, call: Call, error: ConvserveError) -> NoReturn:
        """Count a call that isn't let in, and end it."""
        call.exchange.code = error.code
        self._journal.close(call.exchange, error.status)
        await call.refuse(error)

    @contextmanager
    def counted(self, call: Call) -> Iterator[None]:
        """What answers the call. Raises a ConvserveError for whatever is raised within, once it is counted; where the
        client went away, the CancelledError.
        """
        exchange, status = call.exchange, 0
        self.unanswered += 1
        attributes = {"rpc.system": "grpc", "url.path": exchange.path}
        try:
            with on_behalf_of(exchange), trace_request(f"POST {exchange.path}", call.headers, attributes):
                yield
                status = 200
        except ConvserveError as error:
            status, exchange.code = error.status, error.code
            raise
        except asyncio.CancelledError:
            if call.remaining_s() == 0:  # gRPC has told the client before we could
                status, exchange.code = DeadlineExceeded.status, DeadlineExceeded.code
            raise
        except Exception as error:
            unexpected = log_unexpected(error, exchange)
            status, exchange.code = unexpected.status, unexpected.code
            raise unexpected from error
        finally:
            self.unanswered -= 1
            self._journal.close(exchange, status)
