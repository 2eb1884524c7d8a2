"""The hot road: POST /predict/MODEL with one whole image, answered by the HTTP protocol itself.

A framework's generality costs ten times what a tiny network does. This road takes only requests that need none of it
(`HotRoad.take` says which) and gives, byte for byte, what the general road gives; everything else, and whatever
turns out on the way to be something else, goes there. Decoding, batches, errors, counts and the answer's JSON are the
same functions on both.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl
from weakref import ReferenceType, ref

from pydantic import ValidationError

from app.batching import Places
from app.errors import ConvserveError
from app.images import Pixels
from app.keys import is_key
from app.model import LoadedModel
from app.prediction import Attempt, Prediction, check_top_k, find_score
from app.routes.multipart import FormReader
from app.routes.predict import PredictOptions, find_timeout
from app.routes.predict_body import write_answer
from app.routes.problems import MEDIA_TYPE, log_unexpected, write_problem
from app.routes.running import name_stages
from app.routes.services import Services
from app.session import Scores

if TYPE_CHECKING:
    from app.protocol import ServiceProtocol

_PATH = re.compile(r"/predict(?:/([A-Za-z0-9._~-]+))?")
# Headers of requests that the general road understands better.
_GENERAL = frozenset((b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"origin"))
# A form has its boundary and headers around the image.
_FORM_BYTES = 4096
_MOST_TARGETS = 1024
# Headers that the same client sends with every image.
_COMMON = frozenset(
    (b"host", b"user-agent", b"accept", b"accept-encoding", b"connection", b"content-type", b"content-length")
)
_MOST_HEAD_BYTES, _MOST_HEADS = 1024, 1024


@dataclass(slots=True)
class Target:
    """What a request's address asks for, and what that means for the model that serves it at present."""

    path: str
    name: str | None
    options: PredictOptions
    model: ReferenceType[LoadedModel] | None = None
    """Weak: an address that nobody asks for any more must not keep an unloaded model in memory."""
    top_k: int = 0
    score: float | None = None
    timeout_s: float = 0.0

    def aim(self, model: LoadedModel) -> None:
        """Know `model` from now on. Raises ConvserveError where the options don't fit it."""
        options = self.options
        self.top_k = check_top_k(model, options.top_k)
        self.score = None if options.coverage is None else find_score(model, options.coverage)
        self.timeout_s = find_timeout(model, options.timeout_ms)
        self.model = ref(model)


class Head(NamedTuple):
    """What the request line and the headers say, for a request that this road takes."""

    target: Target
    length: int
    """Bytes of the body."""
    form: bytes
    """The Content-Type of a form; empty where the body is the image."""
    keep_alive: bool


class HotRoad:
    """What the connections of one server share."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.journal = services.journal
        self._settings = services.settings
        self._root = f"/{services.settings.root_path.strip('/')}" if services.settings.root_path else ""
        self._targets: dict[bytes, Target | None] = {}
        self._heads: dict[bytes, Head] = {}
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = ""

    def take(
        self, url: bytes, headers: list[tuple[bytes, bytes]], protocol: ServiceProtocol, chunk: bytes = b""
    ) -> HotCycle | None:
        """Begin to answer a POST to `url`, whose body is still to come; None where the general road has to. Names of
        headers are lower case. `chunk`: the bytes received, where the request begins with them.
        """
        fields = dict(headers)
        if len(fields) != len(headers) or not _GENERAL.isdisjoint(fields):
            return None
        head = self._read_head(url, fields, protocol.parser.should_keep_alive())
        if head is None:
            return None
        if chunk:
            self._remember(chunk, fields, head)
        return self._begin(head, fields.get(b"x-request-id", b"").decode("latin-1"), protocol)

    def recognize(self, chunk: bytes, protocol: ServiceProtocol) -> tuple[HotCycle, bytes] | None:
        """Begin to answer the request, and give its body, where `chunk` is one whole request with a head that was read
        before.
        """
        end = _find_end(chunk)
        head = self._heads.get(chunk[:end])
        if head is None or len(chunk) != end + head.length:
            return None
        cycle = self._begin(head, "", protocol)
        return None if cycle is None else (cycle, chunk[end:])

    def write_default_lines(self, headers: list[tuple[bytes, bytes]]) -> str:
        """The lines that every answer begins with: the date. Written once a second, as uvicorn renews the list."""
        if headers is not self._default_headers:
            self._default_headers = headers
            self._default_lines = "".join([f"{name.decode()}: {value.decode()}\r\n" for name, value in headers])
        return self._default_lines

    def _read_head(self, url: bytes, fields: dict[bytes, bytes], keep_alive: bool) -> Head | None:
        target = self._targets[url] if url in self._targets else self._find_target(url)
        if target is None or not fields.get(b"content-length", b"").isdigit():
            return None
        kind = fields.get(b"content-type", b"application/octet-stream")
        limit, form = self._settings.max_image_bytes, b""
        if kind.startswith(b"multipart/form-data"):
            limit, form = min(limit + _FORM_BYTES, self._settings.max_request_bytes), kind
        elif not (kind.startswith(b"image/") or kind == b"application/octet-stream"):
            return None
        length = int(fields[b"content-length"])
        if length > limit or not self._may_predict(fields.get(b"authorization", b"")):
            return None
        return Head(target, length, form, keep_alive)

    def _find_target(self, url: bytes) -> Target | None:
        if len(self._targets) >= _MOST_TARGETS:
            self._targets.clear()
        self._targets[url] = target = _read_target(url, self._root)
        return target

    def _remember(self, chunk: bytes, fields: dict[bytes, bytes], head: Head) -> None:
        """Know the head that `chunk` begins with when it comes again, as most clients send the same one over and over:
        to look it up takes a fraction of reading it.

        Where it ends must be beyond doubt, and what it says must be nothing but what to predict: no key is kept.
        """
        raw = chunk[: _find_end(chunk)]
        lines = len(fields) + 2  # the request's own, and the empty one
        plain = raw.startswith(b"POST ") and raw.count(b"\r\n") == raw.count(b"\n") == lines
        if plain and head.keep_alive and _COMMON.issuperset(fields):
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            self._heads[raw] = head

    def _begin(self, head: Head, given_id: str, protocol: ServiceProtocol) -> HotCycle | None:
        target = head.target
        try:
            model = self.services.catalog.resolve(target.name, target.options.version)
            model.batcher.check_room(1)
            if target.model is None or target.model() is not model:
                target.aim(model)
        except ConvserveError:
            return None  # the general road says it
        return HotCycle(self, head, model, self.journal.find_id(given_id), protocol)

    def _may_predict(self, authorization: bytes) -> bool:
        if not (hashes := self._settings.api_keys):
            return True
        scheme, _, key = authorization.decode("latin-1").partition(" ")
        return scheme.lower() == "bearer" and is_key(key, hashes)


def _find_end(chunk: bytes) -> int:
    """Behind the empty line that ends a head of ordinary size; 3 where there is none."""
    return chunk.find(b"\r\n\r\n", 0, _MOST_HEAD_BYTES) + 4


def _read_target(url: bytes, root: str) -> Target | None:
    """What the address of a prediction asks for, with or without the `root` that a proxy may have cut off; None for
    any other address, and for one that is wrong.
    """
    if not url.isascii():
        return None
    path, _, query = url.decode().partition("?")
    path = path.removeprefix(root)
    pairs = parse_qsl(query, keep_blank_values=True)
    if (match := _PATH.fullmatch(path)) is None or len(pairs) != len(dict(pairs)):
        return None
    try:
        return Target(root + path, match[1], PredictOptions.model_validate(dict(pairs)))
    except ValidationError:
        return None


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
        *("_attempt", "_body", "_form", "_model", "_places", "_protocol", "_request_id", "_road", "_start", "_target"),
        *("disconnected", "keep_alive", "more_body", "response_complete", "response_started"),
    )

    body = b""  # for uvicorn: nothing of it has to be held back
    message_event = _NO_EVENT

    def __init__(
        self, road: HotRoad, head: Head, model: LoadedModel, request_id: str, protocol: ServiceProtocol
    ) -> None:
        self._start = time.perf_counter()
        self._road = road
        self._target = head.target
        self._form = head.form
        self._model = model
        self._request_id = request_id
        self._protocol = protocol
        self._body: list[bytes] = []
        self._attempt: Attempt | None = None
        self._places: Places[Pixels, Scores] | None = None
        self.keep_alive = head.keep_alive
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
        at_once = len(self._protocol.connections) == 1  # there is nobody to wait for
        self._attempt = Attempt(self._model, image, self._places, self._road.services.decoder, self._settle, at_once)
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

    def _write(self, head: str, body: bytes) -> None:
        """Both at once: two writes are two system calls, and often two packets."""
        if not self._protocol.transport.is_closing():
            self._protocol.be_prompt()
            end = "\r\n" if self.keep_alive else "connection: close\r\n\r\n"
            self._protocol.transport.write((head + end).encode("latin-1") + body)

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
