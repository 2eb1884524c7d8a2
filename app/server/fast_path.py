"""The hot road: POST /predict/MODEL with one whole image, answered by the HTTP protocol itself.

A framework's generality costs ten times what a tiny network does. This road takes only requests that need none of it
(`HeadReader.read` says which) and gives, byte for byte, what the general road gives; everything else, and whatever
turns out on the way to be something else, goes there. Decoding, batches, errors, counts and the answer's JSON are the
same functions on both.
"""

from __future__ import annotations

import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.admission.admission import name_stages
from app.batching.batcher import Places
from app.http.api.predict_json import write_answer
from app.http.bodies.multipart import FormReader
from app.http.problems import MEDIA_TYPE, log_unexpected, write_problem
from app.http.services import Services
from app.inference.attempt import Attempt, Prediction
from app.inference.model import LoadedModel
from app.inference.scores import Scores
from app.server.busy_poll import BusyPoll
from app.server.request_head import Head, HeadReader
from artifact.errors import ConvserveError
from artifact.images.frame import Pixels

if TYPE_CHECKING:
    from app.server.connection import ServiceProtocol

# Answers of larger batches are sent one right after another: with the writing of the next one in between, each would
# find its client asleep again, and have to wake it.
_FEW_ROWS = 8


class HotRoad:
    """What the connections of one server share."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.journal = services.journal
        self.poll = BusyPoll()
        self._heads = HeadReader(services.settings)
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = ""

    def take(
        self, url: bytes, headers: list[tuple[bytes, bytes]], protocol: ServiceProtocol, chunk: bytes
    ) -> HotCycle | None:
        """Begin to answer a POST to `url`, whose body is still to come; None where the general road has to. The
        arguments are those of HeadReader.read.
        """
        head = self._heads.read(url, headers, protocol.parser.should_keep_alive(), chunk)
        return None if head is None else self._begin(head, None, protocol)

    def recognize(self, chunk: bytes, protocol: ServiceProtocol) -> HotCycle | None:
        """Begin to answer a request, body included, where `chunk` is one whole request whose head was read before."""
        known = self._heads.recognize(chunk)
        return None if known is None else self._begin(*known, protocol)

    def write_default_lines(self, headers: list[tuple[bytes, bytes]]) -> str:
        """The lines that every answer begins with: the date. Written once a second, as uvicorn renews the list."""
        if headers is not self._default_headers:
            self._default_headers = headers
            self._default_lines = "".join([f"{name.decode()}: {value.decode()}\r\n" for name, value in headers])
        return self._default_lines

    def _begin(self, head: Head, body: bytes | None, protocol: ServiceProtocol) -> HotCycle | None:
        target = head.target
        try:
            model = self.services.catalog.resolve(target.name, target.options.version)
            if body is None:
                model.batcher.check_room(1)  # what is still to come isn't read in vain
            if target.model is None or target.model() is not model:
                target.aim(model)
        except ConvserveError:
            return None  # the general road says it
        return HotCycle(self, head, body, model, self.journal.find_id(head.given_id), protocol)


class _NoEvent:
    """Nobody waits for this road's bodies."""

    def set(self) -> None:
        """As asyncio.Event has it."""


_NO_EVENT = _NoEvent()


class HotCycle:
    """One request on the hot road, in the place where uvicorn has a RequestResponseCycle: it is driven by the same
    attributes, so that what the protocol does with connections (order of pipelined requests, keep-alive, drain,
    deadlines) holds on both roads alike.
    """

    __slots__ = (
        *("_attempt", "_body", "_form", "_is_alone", "_model", "_places", "_protocol", "_request_id", "_road"),
        *("_start", "_target"),
        *("disconnected", "keep_alive", "more_body", "response_complete", "response_started"),
    )

    body = b""  # for uvicorn: nothing of it has to be held back
    message_event = _NO_EVENT

    def __init__(
        self,
        road: HotRoad,
        head: Head,
        body: bytes | None,
        model: LoadedModel,
        request_id: str,
        protocol: ServiceProtocol,
    ) -> None:
        self._start = time.perf_counter()
        self._road = road
        self._target = head.target
        self._form = head.form
        self._model = model
        self._request_id = request_id
        self._protocol = protocol
        self._body = [] if body is None else [body]
        self._attempt: Attempt | None = None
        self._places: Places[Pixels, Scores] | None = None
        self._is_alone = False
        self.keep_alive = head.keep_alive and not protocol.draining
        self.more_body = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False

    def add_body(self, chunk: bytes) -> None:
        self._body.append(chunk)

    def finish_body(self) -> bytes | None:
        """Begin the prediction, now that the body is whole. Gives it back where the general road has to go on."""
        self.more_body = False
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        batcher, loop = self._model.batcher, self._protocol.loop
        try:
            image = self._read_form(body) if self._form else body
            if image is None:
                return body
            # Where the model was replaced while the body came in, this one accepts nothing any more.
            self._places = batcher.reserve(1, loop.time() + self._target.timeout_s)
        except ConvserveError:
            return body
        # A run on the loop has nobody to wait for where this is the only connection.
        self._is_alone = batcher.inline and len(self._protocol.connections) == 1
        if self._is_alone:
            self._road.poll.note_request(self._start)
        self._attempt = Attempt(
            self._model, image, self._places, self._road.services.decoder, self._settle, at_once=self._is_alone
        )
        return None

    def abandon(self) -> None:
        """The client went away."""
        if self.response_complete:
            return
        if self._attempt is not None:
            self._attempt.abandon()
        self._end(0, "")

    def _read_form(self, body: bytes) -> bytes | None:
        """The image of a form that holds just one; None otherwise. Raises as FormReader does."""
        settings = self._road.services.settings
        form = FormReader(
            self._form.decode("latin-1"), max_images=settings.max_images, max_image_bytes=settings.max_image_bytes
        )
        form.feed(body)
        images = form.finish()
        return images[0] if len(images) == 1 else None

    def _settle(self, outcome: Prediction | Exception) -> None:
        if self.response_complete:
            return
        first = self._road.write_default_lines(self._protocol.server_state.default_headers)
        total = f"total;dur={(time.perf_counter() - self._start) * 1e3:.2f}"
        # The lines in the order in which they come by the general road.
        if isinstance(outcome, Prediction):
            timing = outcome.timing
            body = write_answer(self._model, [outcome], timing, self._target.top_k, self._target.score)
            self._write(
                f"HTTP/1.1 200 OK\r\n{first}server-timing: {name_stages(timing)}, {total}\r\n"
                f"content-length: {len(body)}\r\ncontent-type: application/json\r\n"
                f"x-request-id: {self._request_id}\r\n",
                body,
                timing.batch_size,
            )
            self._end(200, "")
        else:
            error = outcome if isinstance(outcome, ConvserveError) else log_unexpected(outcome, self._request_id)
            body = write_problem(error, self._target.path, self._request_id)
            named = "".join([f"{name.lower()}: {value}\r\n" for name, value in error.headers.items()])
            self._write(
                f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n{first}{named}"
                f"content-length: {len(body)}\r\ncontent-type: {MEDIA_TYPE}\r\n"
                f"x-request-id: {self._request_id}\r\nserver-timing: {total}\r\n",
                body,
            )
            self._end(error.status, error.code)

    def _write(self, head: str, body: bytes, rows: int = 1) -> None:
        """Both at once: two writes are two system calls, and often two packets. `rows` are the batch's; a connection
        that ends now can't wait for the rest of them.
        """
        transport = self._protocol.transport
        if transport.is_closing():
            return
        self._protocol.be_prompt()
        end = "\r\n" if self.keep_alive else "connection: close\r\n\r\n"
        answer = (head + end).encode("latin-1") + body
        if rows > _FEW_ROWS and self.keep_alive:
            self._model.batcher.do_afterwards(partial(transport.write, answer))
        else:
            transport.write(answer)

    def _end(self, status: int, code: str) -> None:
        self.response_started = self.response_complete = True
        if self._places is not None:
            self._places.release()
        seconds = time.perf_counter() - self._start
        self._road.journal.record("POST", self._target.path, status, seconds, self._model, code)
        if status:
            if not self.keep_alive:
                self._protocol.transport.close()
            self._protocol.on_response_complete()
            if self._is_alone:
                self._road.poll.note_answer(self._protocol.loop)
