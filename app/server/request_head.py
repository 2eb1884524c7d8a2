"""Heads: what the request line and the headers of a prediction on the fast path ask for, read once.

Most clients send the same head with every image; to look it up takes a fraction of reading it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl
from weakref import ReferenceType, ref

from app.admission.keys import Keys
from app.admission.options import PredictOptions, Terms
from app.errors import InvalidParameter, Unauthorized
from app.http.bodies.content_type import FORM, OCTETS, holds_image, read_kind
from app.inference.model import LoadedModel
from app.settings import Settings

_PATH = re.compile(r"/predict(?:/([A-Za-z0-9._~-]+))?")
# Headers of requests that the general path understands better.
_GENERAL = frozenset((b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"origin"))
# A form has its boundary and headers around the image.
_FORM_BYTES = 4096
# Headers that say nothing but what to predict, and that a client sends with every image. No key is remembered.
_COMMON = frozenset(
    (b"host", b"user-agent", b"accept", b"accept-encoding", b"connection", b"content-type", b"content-length")
)
_MOST_HEAD_BYTES = 1024
# At most this many addresses, and this many heads, are remembered.
_MOST_KNOWN = 1024

T = TypeVar("T")


@dataclass(slots=True)
class Target:
    """What a request's address asks for, and what that means for the model that serves it at present."""

    path: str
    name: str | None
    options: PredictOptions
    version: int | None
    _model: ReferenceType[LoadedModel] | None = None
    """Weak: an address that nobody asks for any more must not keep an unloaded model in memory."""
    _terms: Terms | None = None

    def fit(self, model: LoadedModel) -> Terms:
        """Implements app.admission.options.Asked.fit; computed once per model."""
        if self._terms is None or self._model is None or self._model() is not model:
            self._terms = self.options.fit(model)
            self._model = ref(model)
        return self._terms


class Head(NamedTuple):
    """What the request line and the headers of a request say that the fast path takes."""

    target: Target
    length: int
    """Bytes of the body."""
    form: str
    """The Content-Type of a form; empty where the body is the image."""
    keep_alive: bool
    given_id: str
    """The client's X-Request-ID; empty where there is none."""
    traceparent: str
    """The header; empty where there is none."""
    fields: dict[bytes, bytes]
    """All headers by their names in lower case."""
    key: str
    """The name of the key that they bring; empty where none is asked for."""

    def find_header(self, name: str) -> str | None:
        """One of them, by its name in lower case."""
        value = self.fields.get(name.encode())
        return None if value is None else value.decode("latin-1")


class HeadReader:
    """Reads heads for one server, and remembers them."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._settings = settings
        self._keys = keys
        self._root = f"/{settings.root_path.strip('/')}" if settings.root_path else ""
        self._targets: dict[bytes, Target | None] = {}
        self._heads: dict[bytes, Head] = {}

    def read(self, url: bytes, headers: list[tuple[bytes, bytes]], keep_alive: bool, chunk: bytes) -> Head | None:
        """The head of a POST to `url`; None where the general path understands it better, or refuses it. Names of
        headers are lower case. `chunk`: the bytes received, where the request begins with them, else empty.
        """
        fields = dict(headers)
        if len(fields) != len(headers) or not _GENERAL.isdisjoint(fields):
            return None
        if url not in self._targets:
            _keep(self._targets, url, _read_target(url, self._root))
        target = self._targets[url]
        if target is None or not fields.get(b"content-length", b"").isdigit():
            return None
        content_type = fields.get(b"content-type", b"").decode("latin-1") or OCTETS
        kind, form = read_kind(content_type), ""
        limit = self._settings.max_image_bytes
        if kind == FORM:
            limit, form = min(limit + _FORM_BYTES, self._settings.max_request_bytes), content_type
        elif not holds_image(kind):
            return None
        length = int(fields[b"content-length"])
        if length > limit:
            return None
        try:
            key = self._keys.check_predict(fields.get(b"authorization", b"").decode("latin-1"))
        except Unauthorized:
            return None
        given_id, traceparent = (fields.get(name, b"").decode("latin-1") for name in (b"x-request-id", b"traceparent"))
        head = Head(target, length, form, keep_alive, given_id, traceparent, fields, key)
        if chunk and keep_alive and _COMMON.issuperset(fields):
            self._remember(chunk, len(fields), head)
        return head

    def recognize(self, chunk: bytes) -> tuple[Head, bytes] | None:
        """The head and the body where `chunk` is one whole request whose head was read before."""
        end = _find_end(chunk)
        head = self._heads.get(chunk[:end])
        return None if head is None or len(chunk) != end + head.length else (head, chunk[end:])

    def _remember(self, chunk: bytes, headers: int, head: Head) -> None:
        """Know the head that `chunk` begins with when it comes again, if it is beyond doubt where it ends."""
        raw = chunk[: _find_end(chunk)]
        lines = headers + 2  # the request's own, and the empty one
        if raw.startswith(b"POST ") and raw.count(b"\r\n") == raw.count(b"\n") == lines:
            _keep(self._heads, raw, head)


def _keep(known: dict[bytes, T], key: bytes, value: T) -> None:
    """Remember `value`; where too much is known, all else is forgotten."""
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[key] = value


def _find_end(chunk: bytes) -> int:
    """The index after the empty line that ends a head of ordinary size; 3 where there is none."""
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
        options = PredictOptions.read(dict(pairs))
    except InvalidParameter:
        return None
    return Target(root + path, match[1], options, options.version)
