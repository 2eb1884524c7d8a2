"""The fast path: POST /predict/MODEL with one whole image, answered by the HTTP protocol itself.

A framework's generality costs ten times what a tiny network does. This path takes only requests that need none of it
(`HeadReader.read` says which) and gives, byte for byte, what the general path gives, refusals included; everything
else, and whatever turns out on the way to be something else, goes there. Admission, errors, counts and the answer's
JSON are the same functions on both.
"""

from __future__ import annotations

import time
from functools import partial
from http import HTTPStatus

from app.admission.admission import Ticket
from app.admission.options import PredictOptions
from app.admission.services import Services
from app.admission.underway import ImageResult
from app.errors import TooManyImages
from app.http.api.predict_json import write_answer
from app.http.bodies.multipart import FormReader
from app.http.problems import MEDIA_TYPE, write_problem
from app.http.server_timing import name_stages
from app.inference.attempt import AnsweringModel, Prediction
from app.observe.logs import current_request
from app.server.busy_poll import BusyPoll
from app.server.interfaces import Connection
from app.server.request_head import Head, HeadReader
from artifact.errors import ConvserveError

# Answers of larger batches are sent one right after another: with the writing of the next one in between, each would
# find its client asleep again, and have to wake it.
_FEW_ROWS = 8


class FastPath:
    """What the connections of one server share."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.journal = services.journal
        self.poll = BusyPoll()
        self._heads = HeadReader(services.settings, services.keys)
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = ""

    def take(
        self, url: bytes, headers: list[tuple[bytes, bytes]], keep_alive: bool, chunk: bytes, connection: Connection
    ) -> FastCycle | None:
        """A cycle that answers a POST to `url`, whose body is still to come; None where the general path has to. The
        arguments are those of HeadReader.read.
        """
        head = self._heads.read(url, headers, keep_alive, chunk)
        return None if head is None else FastCycle(self, head, None, connection)

    def recognize(self, chunk: bytes, connection: Connection) -> FastCycle | None:
        """A cycle that answers `chunk`, where that is one whole request whose head was read before; otherwise None."""
        known = self._heads.recognize(chunk)
        return None if known is None else FastCycle(self, *known, connection)

    def write_default_lines(self, headers: list[tuple[bytes, bytes]]) -> str:
        """The lines that every answer begins with: the date. Written once a second, as uvicorn renews the list."""
        if headers is not self._default_headers:
            self._default_headers = headers
            self._default_lines = "".join([f"{name.decode()}: {value.decode()}\r\n" for name, value in headers])
        return self._default_lines


class _NoEvent:
    """In the place of uvicorn's message_event: on this path nobody waits for a body."""

    def set(self) -> None:
        """Does nothing."""


_NO_EVENT = _NoEvent()


class FastCycle:
    """One request on the fast path, in the place where uvicorn has a RequestResponseCycle: it is driven by the same
    attributes, so that what the protocol does with connections (order of pipelined requests, keep-alive, drain,
    deadlines) holds on both paths alike.
    """

    __slots__ = (
        *("_body", "_connection", "_exchange", "_form", "_is_alone", "_fast_path", "_target", "_ticket"),
        *("disconnected", "keep_alive", "more_body", "response_complete", "response_started"),
    )

    body = b""  # for uvicorn: nothing of it has to be held back
    message_event = _NO_EVENT
    _ticket: Ticket

    def __init__(self, fast_path: FastPath, head: Head, body: bytes | None, connection: Connection) -> None:
        self._fast_path = fast_path
        self._target = head.target
        self._form = head.form
        self._exchange = fast_path.journal.open(
            "POST", head.target.path, head.given_id, head.traceparent, head.find_header
        )
        self._exchange.key = head.key
        self._connection = connection
        self._body = [] if body is None else [body]
        self._is_alone = False
        self.keep_alive = head.keep_alive and not connection.draining
        self.more_body = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False

    def admit(self) -> None:
        """Let the request in, once the connection has this as its cycle. One that is refused is answered at once, and
        what comes of its body is dropped.
        """
        target, rows = self._target, 0 if self._body else 1
        try:
            self._ticket = self._fast_path.services.admission.admit(self._exchange, target.name, target, rows)
        except ConvserveError as error:
            self._refuse(error)

    def add_body(self, chunk: bytes) -> None:
        if not self.response_complete:
            self._body.append(chunk)

    def finish_body(self) -> bytes | None:
        """Begin the prediction, now that the body is whole. Returns the body where the general path has to answer it,
        else None.
        """
        self.more_body = False
        if self.response_complete:
            return None
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        try:
            image = self._read_form(body) if self._form else body
            if image is None:
                return body
            # A run on the loop has nobody to wait for where this is the only connection.
            self._is_alone = self._ticket.model.batcher.inline and len(self._connection.connections) == 1
            if self._is_alone:
                self._fast_path.poll.note_request(self._exchange.started)
            request = current_request.set(self._exchange)
            try:
                self._ticket.start((image,), self._settle, at_once=self._is_alone)
            finally:
                current_request.reset(request)
        except ConvserveError as error:
            self._refuse(error)
        return None

    def give_back(self) -> bytes:
        """The bytes received so far of a body that won't be whole, for the general path, which answers instead."""
        return b"".join(self._body)

    def abandon(self) -> None:
        """The client went away."""
        if self.response_complete:
            return
        self._ticket.abandon()
        self._end(0)

    def _read_form(self, body: bytes) -> bytes | None:
        """The image of a form that holds just one and no options; None otherwise. Raises as FormReader does."""
        settings = self._fast_path.services.settings
        form = FormReader(self._form, 1, settings.max_image_bytes, PredictOptions.names())
        try:
            form.feed(body)
        except TooManyImages:  # at the second one: the general path reads them, so nothing of it is read twice
            return None
        images = form.finish()
        return images[0] if len(images) == 1 and not form.options else None

    def _settle(self, results: list[ImageResult]) -> None:
        if self.response_complete:
            return
        (result,), exchange = results, self._exchange
        if not isinstance(result, Prediction):
            self._refuse(result)
            return
        timing, first = (
            result.timing,
            self._fast_path.write_default_lines(self._connection.server_state.default_headers),
        )
        receipts = self._fast_path.services.admission.receipts
        body = write_answer(self._ticket.model, results, timing, self._ticket.terms, receipts)
        # The lines in the order in which they come by the general path, here and in _refuse.
        self._write(
            f"HTTP/1.1 200 OK\r\n{first}server-timing: {name_stages(timing)}, {self._time_total()}\r\n"
            f"content-length: {len(body)}\r\ncontent-type: application/json\r\n"
            f"x-request-id: {exchange.request_id}\r\n",
            body,
            timing.batch_size,
            result.by,
        )
        self._end(200)

    def _refuse(self, error: ConvserveError) -> None:
        exchange = self._exchange
        exchange.code = error.code
        first = self._fast_path.write_default_lines(self._connection.server_state.default_headers)
        body = write_problem(error, exchange.path, exchange.request_id)
        named = "".join([f"{name.lower()}: {value}\r\n" for name, value in error.headers.items()])
        self._write(
            f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n{first}{named}"
            f"content-length: {len(body)}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"x-request-id: {exchange.request_id}\r\nserver-timing: {self._time_total()}\r\n",
            body,
        )
        self._end(error.status)

    def _time_total(self) -> str:
        return f"total;dur={(time.perf_counter() - self._exchange.started) * 1e3:.2f}"

    def _write(self, head: str, body: bytes, rows: int = 1, by: AnsweringModel | None = None) -> None:
        """Write head and body at once: two writes are two system calls, and often two packets. `rows` is the size of
        the batch, `by` the model that answered, None for the ticket's own. A large batch's answers are written once all
        of it has results, but a connection that ends now can't wait for that.
        """
        transport = self._connection.transport
        if transport.is_closing():
            return
        self._connection.be_prompt()
        end = "\r\n" if self.keep_alive else "connection: close\r\n\r\n"
        answer = (head + end).encode("latin-1") + body
        if rows > _FEW_ROWS and self.keep_alive:
            model = self._ticket.model if by is None else by.model
            model.batcher.delivery.do_afterwards(partial(transport.write, answer))
        else:
            transport.write(answer)

    def _end(self, status: int) -> None:
        self.response_started = self.response_complete = True
        self._fast_path.journal.close(self._exchange, status)
        if status:
            if not self.keep_alive:
                self._connection.end()
            self._connection.on_response_complete()
            if self._is_alone:
                self._fast_path.poll.note_answer(self._connection.loop)
