"""Reading a request's body: inflated as it streams in, and refused at the first byte over the limit."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from starlette.requests import Request

from app.errors import RequestTooLarge
from app.settings import Settings
from artifact.errors import BadRequest, ImageTooLarge, TooLarge, UnsupportedType

# Bytes that are inflated at a time, and parts that a gzip body may have: each costs work, though it may hold nothing.
_STEP = 1 << 14
_MOST_MEMBERS = 10_000


@dataclass(frozen=True)
class BodyLimit:
    """How many bytes a body may have, and what to say to more."""

    noun: str
    setting: str
    limit: int
    error: type[TooLarge]

    def refuse(self, declared: int | None = None) -> TooLarge:
        size = f"more than {self.limit:,}" if declared is None else f"{declared:,}"
        return self.error(
            f"the {self.noun} has {size} bytes, the limit ({self.setting}) is {self.limit:,}: "
            "send less at once or raise the limit"
        )


def image_limit(settings: Settings) -> BodyLimit:
    """For a body that is the image itself."""
    return BodyLimit("image", "max_image_bytes", settings.max_image_bytes, ImageTooLarge)


def request_limit(settings: Settings) -> BodyLimit:
    """For every other body."""
    return BodyLimit("request", "max_request_bytes", settings.max_request_bytes, RequestTooLarge)


async def read_body(request: Request, limit: BodyLimit) -> bytes:
    """The whole body, inflated. Raises as `stream_body` does."""
    chunks = [chunk async for chunk in stream_body(request, limit)]
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def stream_body(request: Request, limit: BodyLimit) -> AsyncIterator[bytes]:
    """Inflated chunks of the body, together within `limit`.

    Raises TooLarge beyond it (at once where Content-Length says so), UnsupportedType for an unknown
    Content-Encoding, BadRequest for a damaged one.
    """
    inflater = _inflater(request)
    declared = request.headers.get("content-length", "")
    if inflater is None and declared.isdecimal() and int(declared) > limit.limit:
        raise limit.refuse(int(declared))
    total = 0
    async for chunk in request.stream():
        for piece in inflater.inflate(chunk) if inflater else (chunk,):
            total += len(piece)
            if total > limit.limit:
                raise limit.refuse()
            if piece:
                yield piece
    if inflater:
        inflater.check_complete()


class _Inflater:
    """Inflates in steps, so that a small body that unpacks to gigabytes is stopped at the limit."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        # 32 + 15: zlib or gzip, told by the header ("deflate" means zlib's format in HTTP).
        self._stream = zlib.decompressobj(32 + 15)
        self._members = 1

    def inflate(self, chunk: bytes) -> Iterator[bytes]:
        for start in range(0, len(chunk), _STEP):  # what is left behind a member is copied at its end
            left = chunk[start : start + _STEP]
            while left and (left := self._begin_member(left) if self._stream.eof else left):
                try:
                    yield self._stream.decompress(left, 1 << 16)
                except zlib.error as error:
                    raise self._damaged() from error
                left = self._stream.unconsumed_tail or self._stream.unused_data

    def _begin_member(self, left: bytes) -> bytes:
        """gzip may have several members, one behind another (RFC 1952, 2.2), and zeros that fill up a block."""
        if self._encoding == "deflate":
            raise self._damaged()
        if left := left.lstrip(b"\0"):
            self._stream = zlib.decompressobj(16 + 15)
            self._members += 1
            if self._members > _MOST_MEMBERS:
                raise BadRequest(
                    f"the body has more than {_MOST_MEMBERS:,} gzip members, the limit: compress it as one"
                )
        return left

    def check_complete(self) -> None:
        if not self._stream.eof:
            raise self._damaged()

    def _damaged(self) -> BadRequest:
        return BadRequest(f"the body is not the {self._encoding} that Content-Encoding says: compress it again")


def _inflater(request: Request) -> _Inflater | None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return None
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _Inflater(encoding.removeprefix("x-"))
    raise UnsupportedType(f"Content-Encoding {encoding[:40]!r} is not supported, only gzip and deflate")
